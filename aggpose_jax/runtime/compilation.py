"""Compiled programs: kept from run to run, and what they need."""

import hashlib
import os
import pathlib
import platform

import jax


def enable_compilation_cache() -> None:
    """Keeps compiled programs in JAX_COMPILATION_CACHE_DIR, or else in ~/.cache/aggpose_jax, for the next start.

    Programs for a CPU are kept apart by what it can, since home folders are shared among unlike machines.
    """
    if jax.config.jax_compilation_cache_dir is None:
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "aggpose_jax" / _machine()))


def _machine() -> str:
    """A name for the kind of processor."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        abilities = next(line for line in lines if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        abilities = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(abilities.encode()).hexdigest()[:12]}"


def describe_resources(program: jax.stages.Compiled) -> str:
    """Memory and arithmetic of a compiled program on each device, as far as the compiler says."""
    memory, cost = program.memory_analysis(), program.cost_analysis()
    words = []
    if memory is not None:
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        work = memory.temp_size_in_bytes
        words.append(f"{_size(kept + work)} of memory a device ({_size(kept)} state and batch, {_size(work)} work)")
    if cost and cost.get("flops", 0) > 0:
        words.append(f"{cost['flops'] / 1e9:.3g} GFLOP a device")
    return ", ".join(words) or "the compiler does not say what it needs"


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
