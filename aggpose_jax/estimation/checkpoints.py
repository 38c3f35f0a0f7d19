"""Reads the checkpoints of a run. A step counts only if it has a checksum manifest that matches all of its files.

The items of a step are named after the variable collections, such as `params`; a name that begins with `ema_` marks an
exponential moving average. This module writes nothing.
"""

import json
import logging
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import checksums

FOLDER = "checkpoints"  # folder, inside the folder of a run, that contains one folder for each saved step
COLLECTIONS = ("params", "batch_stats")
EMA = "ema_"  # prefix of the names of items that are moving averages of variables


def verify(folder: pathlib.Path) -> tuple[list[int], list[int], dict[int, str]]:
    """Verifies the checksums of all steps in a checkpoint folder.

    Returns:
      The verified steps and the steps without a manifest, both ascending, and a description of the damage by damaged
      step.
    """
    steps = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())
    unfinished = [step for step in steps if not checksums.has_manifest(folder / str(step))]
    damage = {step: checksums.find_damage(folder / str(step)) for step in steps if step not in unfinished}
    return [step for step in damage if not damage[step]], unfinished, {step: d for step, d in damage.items() if d}


def last_finished(workdir: pathlib.Path) -> int | None:
    """Returns the latest step with a checksum manifest, without verifying it, or None if there is none."""
    finished = [int(path.parent.name) for path in (workdir / FOLDER).glob(f"*/{checksums.MANIFEST}")]
    return max(finished, default=None)


def rank(metrics: dict) -> tuple[float, int]:
    """Returns the sort key of an evaluated step: the best score is the greatest; of equal scores, the earliest step."""
    return metrics["score"], -metrics["step"]


def stored_name(step_folder: pathlib.Path, name: str) -> str:
    """Returns the name under which a step stores an item: runs of version 0.1 store `ema_params` as `average`."""
    return "average" if name == f"{EMA}params" and (step_folder / "average").exists() else name


def load_variables(workdir: pathlib.Path, which: str = "best") -> tuple[int, dict[str, Any]]:
    """Returns a step and its variables as NumPy arrays; of a run with a moving average, the averaged variables.

    Args:
      workdir: folder of the run.
      which: "best" or "latest" among the verified checkpoints. A warning on standard error names each damaged one.

    Raises:
      UserError: there is no verified checkpoint.
    """
    folder = workdir.absolute() / FOLDER
    if not folder.is_dir():
        raise UserError(f"{workdir}: there is no {FOLDER} folder in it; give the working directory of a run")
    verified, _, damaged = verify(folder)
    for step, fault in damaged.items():
        print(f"WARNING: THE CHECKPOINT OF STEP {step} IS DAMAGED and not used: {fault}", file=sys.stderr, flush=True)
    if not verified:
        raise UserError(f"{folder}: there is no finished checkpoint in it that is intact; give another run")
    step = verified[-1] if which == "latest" else _best(folder, verified)
    return step, _read(folder / str(step))


def _best(folder: pathlib.Path, steps: list[int]) -> int:
    """Returns the step with the best evaluation among ascending steps, or the latest if none was evaluated."""
    metrics = [folder / str(step) / "metrics" / "metrics" for step in steps]
    evaluated = [json.loads(file.read_text()) for file in metrics if file.exists()]
    return max(evaluated, key=rank)["step"] if evaluated else steps[-1]


def _read(step_folder: pathlib.Path) -> dict[str, Any]:
    """Returns the variables that a step stores, by collection: their moving averages if the step has them."""
    items = {name: step_folder / stored_name(step_folder, EMA + name) for name in COLLECTIONS}
    if not items["params"].exists():
        items = {name: step_folder / name for name in COLLECTIONS}
    return {name: _read_item(item) for name, item in items.items() if item.exists()}


def _read_item(item: pathlib.Path) -> Any:
    import orbax.checkpoint as ocp  # imported lazily: prediction from a weight file does not need Orbax

    absl = logging.getLogger("absl")
    absl.setLevel(max(absl.level, logging.ERROR))  # hides the library's warning about a file that is not needed
    with ocp.PyTreeCheckpointer() as checkpointer:
        shapes = checkpointer.metadata(item).item_metadata.tree
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        return checkpointer.restore(item, args=ocp.args.PyTreeRestore(restore_args=as_arrays))
