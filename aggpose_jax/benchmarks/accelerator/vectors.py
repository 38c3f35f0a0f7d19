"""The part "vectors": the heatmaps of reference networks on the device, in float32 and bfloat16."""

import importlib.util
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.benchmarks.accelerator.markdown import table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, LeftOut, Setting

HELPERS = pathlib.Path(__file__).parents[3] / "tests" / "reference.py"  # draws the weights of the reference networks
NAMES, TINY_NAMES = ("tiny", "s", "l"), ("tiny",)
TOLERANCES = {"float32": 1e-5, "bfloat16": 0.05}  # those of the tests, of the relative error


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns "rows": the difference of each network's heatmaps from the reference, for each dtype.

    Raises:
      LeftOut: the reference vectors are not in the source tree.
    """
    helpers = _load_helpers()
    names = TINY_NAMES if setting.tiny else NAMES
    items = [(name, dtype) for name in names for dtype in TOLERANCES]
    rows = []
    for name, dtype in budget.items(items, lambda item: "aggpose_{} in {}".format(*item)):
        rows.append({"network": f"aggpose_{name}", "dtype": dtype, **_compare(helpers, name, dtype)})
    return {"rows": rows}


def _load_helpers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", HELPERS)
    if not HELPERS.exists() or spec is None or spec.loader is None:
        raise LeftOut(f"there is no {HELPERS}; copy the folder tests of the source tree")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compare(helpers: Any, name: str, dtype: str) -> Content:
    reference = helpers.read_aggpose(name)
    model, _, params = helpers.aggpose_network(name, reference, dtype=jnp.dtype(dtype))
    image, expected = helpers.aggpose_image(reference), reference["heatmaps_nchw"].transpose(0, 2, 3, 1)
    with jax.default_matmul_precision("highest"):
        heatmaps = jax.jit(lambda params, image: model.apply({"params": params}, image))(params, image)
    difference = np.asarray(heatmaps) - expected
    error = float(np.linalg.norm(difference) / np.linalg.norm(expected))
    return {
        "relative_error": error,
        "largest_difference": float(np.abs(difference).max()),
        "holds": error <= TOLERANCES[dtype],
    }


def describe(content: Content) -> list[str]:
    """Returns the differences as a table."""
    rows = [
        (
            f"{row['network']}, {row['dtype']}",
            f"{row['relative_error']:.1e}",
            f"{TOLERANCES[row['dtype']]:.0e}",
            f"{row['largest_difference']:.1e}",
            "yes" if row["holds"] else "**no**",
        )
        for row in content["rows"]
    ]
    head = ("heatmaps", "relative error", "tolerance", "largest difference", "holds")
    return [
        "Heatmaps beside those of PyTorch in float32, from the same weights. All products have the highest precision.",
        "",
        *table(head, rows),
    ]
