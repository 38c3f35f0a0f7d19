"""The part "stencils": the forms of the depthwise convolution and of its gradients at the sizes of AggPose-L."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aggpose_jax import io
from aggpose_jax.benchmarks.accelerator.markdown import share, size, table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, Setting, one_line
from aggpose_jax.networks import depthwise, fastest_forms
from aggpose_jax.networks.aggpose import VARIANTS
from aggpose_jax.networks.mit import EXPANSION, STRIDES

CALLS = 4  # calls in one program, so that the time to start it does not count
ROUNDS, ROUND_SECONDS = 5, 0.5  # rounds, fewer if they take longer than this
FORMS_FILE = "fastest_forms.json"
FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT = "forward", "input gradient", "kernel gradient"
DECIDES = {"forward": (FORWARD, INPUT_GRADIENT), "kernel_gradient": (KERNEL_GRADIENT,)}  # for each key of the table


class Case(NamedTuple):
    """An operation on the maps [B, H, W, C] of a stage with this number of blocks in the network."""

    operation: str
    stage: int
    shape: tuple[int, int, int, int]
    blocks: int

    def __str__(self) -> str:
        return f"{self.operation} at stage {self.stage}"


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns "rows", one for each form of each case, and "fastest", the forms that take the least time in a step.

    The fastest forms are also written to FORMS_FILE, as a row of the table `fastest_forms`.
    """
    dtype = jnp.dtype("float32" if setting.tiny else "bfloat16")
    copy = earlier.get("roofs", {}).get("copy")
    rows: list[Content] = []
    for case in budget.items(cases("tiny" if setting.tiny else "l", setting.tiny)):
        for row in _measure_case(case, dtype):
            if copy and "seconds" in row:
                row["copy_share"] = row["bytes"] / row["seconds"] / copy
            rows.append({"operation": case.operation, "stage": case.stage, "blocks": case.blocks, **row})
    found = fastest(rows)
    if found:
        io.write_json(setting.folder / FORMS_FILE, {jax.devices()[0].device_kind: found}, indent=1)
    return {"dtype": dtype.name, "rows": rows, "fastest": found}


def cases(variant: str, tiny: bool) -> list[Case]:
    """Returns the operations at the four stages of a variant of AggPose, for images of 256 × 192 in batches of 32."""
    widths, depths = VARIANTS[variant]
    batch, height, width = (2, 64, 64) if tiny else (32, 256, 192)
    return [
        Case(operation, i + 1, (batch, height // stride, width // stride, EXPANSION * widths[i]), sum(depths[i]))
        for operation in (FORWARD, INPUT_GRADIENT, KERNEL_GRADIENT)
        for i, stride in enumerate(STRIDES)
    ]


def fastest(rows: Sequence[Content]) -> dict[str, str]:
    """Returns for each key of the table the form that takes the least time in the blocks of a training step.

    Only forms that have correct results for all cases count; a key without one is left out.
    """
    found = {}
    for key, operations in DECIDES.items():
        cases = {(row["operation"], row["stage"]) for row in rows if row["operation"] in operations}
        times: dict[str, list[float]] = {}
        for row in rows:
            if row["operation"] in operations and row.get("equal"):
                times.setdefault(row["form"], []).append(row["blocks"] * row["seconds"])
        complete = {form: sum(seconds) for form, seconds in times.items() if len(seconds) == len(cases)}
        if complete and len(cases) == len(operations) * len(STRIDES):
            found[key] = min(complete, key=complete.__getitem__)
    return found


def _measure_case(case: Case, dtype: Any) -> list[Content]:
    rng = np.random.default_rng(0)
    x, dz = (jnp.asarray(rng.standard_normal(case.shape), dtype) for _ in range(2))
    kernel = jnp.asarray(rng.standard_normal((3, 3, case.shape[-1])) / 9, dtype)
    gradient = case.operation == KERNEL_GRADIENT
    arguments = (x, dz) if gradient else ((x if case.operation == FORWARD else dz), kernel)
    forms = depthwise.KERNEL_GRADIENT if gradient else depthwise.FORWARD
    with jax.default_matmul_precision("highest"):
        expected = jax.jit(_call(case, forms["shifts"]))(*(a.astype(jnp.float32) for a in arguments))
    moved = x.nbytes + (dz.nbytes if gradient else x.nbytes)
    rows = []
    for name, form in forms.items():
        row: Content = {"form": name, "bytes": moved}
        try:
            row |= _measure_form(_call(case, form), arguments, expected)
        except Exception as error:  # A form may not compile for this device; the others are measured all the same.
            row["error"] = one_line(error)
        rows.append(row)
    return rows


def _call(case: Case, form: Callable) -> Callable:
    """Returns the operation of a case as a function of its two arguments, as `depthwise` computes it."""
    return (lambda dz, kernel: form(dz, kernel[::-1, ::-1])) if case.operation == INPUT_GRADIENT else form


def _measure_form(function: Callable, arguments: tuple, expected: jax.Array) -> Content:
    accumulates = expected.shape != arguments[0].shape

    @jax.jit
    def program(*arguments):
        """Returns the first result, and one that depends on all calls, which therefore run one after the other."""
        first = last = function(*arguments)
        for _ in range(CALLS - 1):
            # Each call waits for the one before and cannot be merged with it.
            *repeated, last = lax.optimization_barrier((*arguments, last))
            last = last + function(*repeated) if accumulates else function(last, *repeated[1:])
        return first, last

    first, _ = jax.block_until_ready(program(*arguments))
    error = jnp.linalg.norm((first - expected).astype(jnp.float32)) / jnp.linalg.norm(expected)
    tolerance = 1e-5 if arguments[0].dtype == jnp.float32 else 2e-2
    return {"seconds": _seconds(program, arguments), "relative_error": float(error), "equal": bool(error <= tolerance)}


def _seconds(program: Callable, arguments: tuple) -> float:
    times: list[float] = []
    while len(times) < ROUNDS and sum(times) < ROUND_SECONDS:
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times) / CALLS


def describe(content: Content) -> list[str]:
    """Returns a table of the forms, what went wrong, and what to do with the fastest ones."""
    names = list(depthwise.KERNEL_GRADIENT)
    cells: dict[tuple[str, int, int], dict[str, str]] = {}
    for row in content["rows"]:
        cells.setdefault((row["operation"], row["stage"], row["bytes"]), {})[row["form"]] = _cell(row)
    lines = [
        (f"{operation}, stage {stage}", size(least), *(forms.get(name) for name in names))
        for (operation, stage, least), forms in cells.items()
    ]
    forms = ", ".join(f"{key}: {form}" for key, form in content["fastest"].items()) or "not known"
    file = fastest_forms.FILE.relative_to(fastest_forms.FILE.parents[2])
    return [
        f"Depthwise 3×3 convolutions in {content['dtype']}: µs of a call, and the share of the copy bandwidth "
        "if it read or wrote each map once in this time.",
        "",
        *table(("operation", "bytes", *names), lines),
        *(f"\n{row['operation']}, stage {row['stage']}, {row['form']}: {row['error']}"
          for row in content["rows"] if "error" in row),
        "",
        f"Fastest in the blocks of a training step: **{forms}**. To use these forms on this kind of device, add",
        f"the row of `{FORMS_FILE}`, which is beside this page, to `{file}`. CPU has forms of its own.",
    ]  # fmt: skip


def _cell(row: Content) -> str:
    if "error" in row:
        return "failed"
    reached = f" ({share(row['copy_share'])})" if "copy_share" in row else ""
    return f"{1e6 * row['seconds']:.0f}{reached}" + (
        "" if row["equal"] else f", differs by {row['relative_error']:.0e}"
    )
