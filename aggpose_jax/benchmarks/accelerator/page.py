"""The report as one page in Markdown: what it ran on, each part, and what was left out and why."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping, Sequence

import jax

import aggpose_jax
from aggpose_jax.benchmarks.accelerator.markdown import table
from aggpose_jax.benchmarks.accelerator.part import Content, Part
from aggpose_jax.errors import UserError

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def about() -> dict[str, str]:
    """Returns what the report runs on: the devices, the system and the versions of the libraries, by name.

    Raises:
      UserError: JAX finds no device of the platform that JAX_PLATFORMS names.
    """
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX fails an assertion if there is no plugin at all.
        reason = " ".join(str(error).split()) or f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}"
        raise UserError(f"JAX finds no device ({reason}); check JAX_PLATFORMS and the plugin of jax") from None
    return {
        "device": f"{len(devices)} × {devices[0].device_kind} ({devices[0].platform}); the first one is measured",
        "runtime": " ".join(devices[0].client.platform_version.split()),
        "host": f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores",
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "aggpose_jax": aggpose_jax.__version__,
        "Python": platform.python_version(),
    } | {name: _version(name) for name in LIBRARIES}


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def write(machine: Mapping[str, str], parts: Sequence[Part], results: Mapping[str, Content], tiny: bool) -> str:
    """Returns the page.

    Args:
      machine: what the report ran on, from `about`.
      parts: the parts of the report.
      results: the contents of those that have run so far, by name.
      tiny: whether the sizes are those of a trial.
    """
    lines = ["# AggPose on an accelerator", ""]
    if tiny:
        lines += ["**Tiny sizes, which only show that the program runs: the numbers below mean nothing.**", ""]
    lines += table(("measured on", ""), machine.items(), numbers=False)
    missing = []
    for part in parts:
        content = results.get(part.name)
        if content is None:
            missing.append((part.title, "has not run yet"))
            continue
        missing += [(part.title, reason) for reason in content.get("left_out", [])]
        if "error" in content:
            missing.append((part.title, f"**failed**: {content['error']}"))
        if "seconds" in content:
            lines += ["", f"## {part.title}", "", *part.describe(content), "", _took(content["seconds"], part.seconds)]
    lines += ["", "## Left out", ""]
    lines += table(("part", "what, and why"), missing, numbers=False) if missing else ["Nothing."]
    return "\n".join(lines) + "\n"


def _took(seconds: float, budget: float) -> str:
    return f"This part took {seconds:.0f} s; its budget is {budget:.0f} s."
