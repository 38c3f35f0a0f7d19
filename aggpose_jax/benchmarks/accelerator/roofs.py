"""The part "roofs": the matrix rates and the copy bandwidth of the device."""

from collections.abc import Mapping

from aggpose_jax.benchmarks import machine
from aggpose_jax.benchmarks.accelerator.markdown import table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, Setting

TINY_SIZE, TINY_COPIED = 256, 1 << 22
HIGHEST = "float32, highest precision"


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns "matrix", operations per second by dtype, and "copy", bytes per second; see `machine.Machine`."""
    size, copied = (TINY_SIZE, TINY_COPIED) if setting.tiny else (None, None)
    limits = machine.measure(size, copied)
    matrix = dict(limits.matrix)
    for _ in budget.items(["matrix products in float32 with the highest precision"]):
        matrix[HIGHEST] = machine.matrix_rate("float32", size, "highest")
    return {"matrix": matrix, "copy": limits.copy}


def describe(content: Content) -> list[str]:
    """Returns the limits as a table."""
    rows = [(f"matrix products, {name}", f"{rate / 1e12:.2f} TFLOP/s") for name, rate in content["matrix"].items()]
    return table(("limit", "rate"), [*rows, ("copy, bytes read and written", f"{content['copy'] / 1e9:.0f} GB/s")])
