"""Reads the checkpoints of a run. A step counts if it has a checksum manifest and every file is as listed there.

Items of a step are named after the collections of the variables, such as `params`; those with `ema_` before their name
are moving averages. Nothing is written here.
"""

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import checksums

FOLDER = "checkpoints"  # of a run's folder
COLLECTIONS = ("params", "batch_stats")
EMA = "ema_"  # begins the names of items that are averages


def verify(folder: pathlib.Path) -> tuple[list[int], list[int], dict[int, str]]:
    """Returns the ascending steps that are verified, those without a manifest, and what is wrong with the damaged."""
    steps = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())
    unfinished = [step for step in steps if not checksums.has_manifest(folder / str(step))]
    damage = {step: checksums.find_damage(folder / str(step)) for step in steps if step not in unfinished}
    return [step for step in damage if not damage[step]], unfinished, {step: d for step, d in damage.items() if d}


def last_finished(workdir: pathlib.Path) -> int | None:
    """Returns the latest step with a checksum manifest, which is not verified here."""
    finished = [int(path.parent.name) for path in (workdir / FOLDER).glob(f"*/{checksums.MANIFEST}")]
    return max(finished, default=None)


def rank(metrics: dict) -> tuple[float, int]:
    """Orders the evaluations of steps; the best is the greatest, and of equals the earliest."""
    return metrics["score"], -metrics["step"]


def stored_name(step_folder: pathlib.Path, name: str) -> str:
    """Returns the name that an item has in a step: runs of version 0.1 call their only moving average "average"."""
    return "average" if name == f"{EMA}params" and (step_folder / "average").exists() else name


def load_variables(workdir: pathlib.Path, which: str = "best") -> tuple[int, dict[str, Any]]:
    """Returns a step and its variables, arrays of NumPy: the moving average of a run that keeps one.

    Args:
      workdir: folder of the run.
      which: "best" or "latest", of the verified checkpoints; damaged ones are named on standard error.

    Raises:
      UserError: there is no verified checkpoint.
    """
    folder = workdir.absolute() / FOLDER
    if not folder.is_dir():
        raise UserError(f"{workdir}: no {FOLDER} folder in it; give the workdir of a run")
    verified, _, damaged = verify(folder)
    for step, fault in damaged.items():
        print(f"WARNING: THE CHECKPOINT OF STEP {step} IS DAMAGED and not used: {fault}", file=sys.stderr, flush=True)
    if not verified:
        raise UserError(f"{folder}: no finished checkpoint in it that is intact")
    step = verified[-1] if which == "latest" else _best(folder, verified)
    return step, _read(folder / str(step))


def _best(folder: pathlib.Path, steps: list[int]) -> int:
    """Of ascending steps that of the best evaluation, or the latest if none was evaluated."""
    metrics = [folder / str(step) / "metrics" / "metrics" for step in steps]
    evaluated = [json.loads(file.read_text()) for file in metrics if file.exists()]
    return max(evaluated, key=rank)["step"] if evaluated else steps[-1]


def _read(step_folder: pathlib.Path) -> dict[str, Any]:
    """The variables of a step."""
    items = {name: step_folder / stored_name(step_folder, EMA + name) for name in COLLECTIONS}
    if not items["params"].exists():
        items = {name: step_folder / name for name in COLLECTIONS}
    return {name: _read_item(item) for name, item in items.items() if item.exists()}


def _read_item(item: pathlib.Path) -> Any:
    import orbax.checkpoint as ocp  # here, since prediction from a weight file does without

    with ocp.PyTreeCheckpointer() as checkpointer:
        shapes = checkpointer.metadata(item).item_metadata.tree
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        return checkpointer.restore(item, args=ocp.args.PyTreeRestore(restore_args=as_arrays))
