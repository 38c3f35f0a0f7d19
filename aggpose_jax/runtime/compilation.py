"""The persistent compilation cache, and the memory and FLOP of compiled programs."""

import hashlib
import os
import pathlib
import platform

import jax


def enable_compilation_cache() -> None:
    """Enables JAX's persistent compilation cache in JAX_COMPILATION_CACHE_DIR, by default in ~/.cache/aggpose_jax.

    The default folder has a subfolder for each kind of CPU, since different machines may share a home folder.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]  # JAX's type lacks its options
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "aggpose_jax" / _machine()))


def _machine() -> str:
    """Returns a name for the kind of this machine's CPU: its architecture and a hash of its instruction set flags."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        features = next(line for line in lines if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        features = platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"


def describe_resources(program: jax.stages.Compiled) -> str:
    """Returns the memory and FLOP per device of a compiled program as text, as far as the compiler reports them."""
    memory, cost = program.memory_analysis(), program.cost_analysis()
    parts = []
    if memory is not None:
        arguments = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        temporary = memory.temp_size_in_bytes
        parts.append(
            f"{_size(arguments + temporary)} of memory per device ({_size(arguments)} state and batch, "
            f"{_size(temporary)} temporary)"
        )
    if cost and cost.get("flops", 0) > 0:
        parts.append(f"{cost['flops'] / 1e9:.3g} GFLOP per device")
    return ", ".join(parts) or "the compiler reports neither memory nor FLOP"


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
