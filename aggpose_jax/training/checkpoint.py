"""Checkpoints of a run: written in the background, committed atomically, with a checksum manifest of every file.

A step without a SHA256SUMS file is incomplete and is ignored: its save, or its removal, was cut off. The best and the
two latest are kept, so that there is one to go back to when the latest is damaged.
"""

import os
import pathlib
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.checkpoints import FOLDER, rank, stored_name, verify
from aggpose_jax.runtime import checksums, distributed

DAMAGED = "damaged"  # where steps lie that are not as written, beside FOLDER
REMOVED = "removed"  # below FOLDER: where steps go in one move before their files are deleted


def _handlers() -> ocp.handlers.CheckpointHandlerRegistry:
    """Handlers of a manager that let one process write the arrays that all processes hold.

    By default each writes a slice, for which orbax (0.11.20 and 0.12.8 were tried) compiles a program for every shape:
    47 seconds at the first save of 120 arrays on 8 devices, when a preempted run may have no more than 30. StandardSave
    has no such option, so items are saved by PyTreeSave, in the same files, which StandardRestore reads.
    """
    types = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, ocp.type_handlers.ArrayHandler(use_replica_parallel=False)),
        (np.ndarray, ocp.type_handlers.NumpyHandler()),
    )
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(None, ocp.args.PyTreeSave, ocp.PyTreeCheckpointHandler(type_handler_registry=types))
    return registry


class Checkpoints(ocp.CheckpointManager):
    """The manager of WORKDIR/checkpoints; writes the checksum manifest of each step as soon as it is committed.

    Items of a step: `params`, `batch_stats` where the network has them, each with `ema_` before its name where a run
    averages, and `optimizer`.
    """

    def __init__(self, folder: pathlib.Path):
        self._manifest: Future | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checksums")
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(2),
                checkpoint_managers.BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(best_fn=rank, preservation_policy=policy, todelete_subdir=REMOVED)
        super().__init__(folder, options=options, handler_registry=_handlers())

    def save(self, step: int, *args, **kwargs) -> bool:
        """Starts to write a step, after the manifest of the one before; replaces one saved without its evaluation."""
        if step in self.all_steps():
            self.delete(step)
        saved = super().save(step, *args, **kwargs)
        self._manifest = self._thread.submit(self._write_manifest, step)
        return saved

    def wait_until_finished(self) -> None:
        """Waits until the last step is committed and its manifest is written."""
        manifest, self._manifest = self._manifest, None
        if manifest is not None:
            manifest.result()
        super().wait_until_finished()

    def _write_manifest(self, step: int) -> None:
        super().wait_until_finished()
        if distributed.is_primary():
            checksums.write_manifest(pathlib.Path(self.directory) / str(step))
            shutil.rmtree(pathlib.Path(self.directory) / REMOVED, ignore_errors=True)


def open_manager(workdir: pathlib.Path, log: Callable[[str], None] = print) -> Checkpoints:
    """The checkpoints of a run, to write and to resume from; only verified ones are left when it returns.

    Args:
      workdir: of the run.
      log: called with a line for every step that does not count.

    Raises:
      UserError: there are checkpoints and every one is damaged.
    """
    folder = workdir.absolute() / FOLDER
    if distributed.is_primary():
        _sweep(folder, log)
    distributed.wait_for_all("checkpoints are swept")
    return Checkpoints(folder)


def _sweep(folder: pathlib.Path, log: Callable[[str], None]) -> None:
    """Deletes what a killed process left half written or half deleted, and sets aside what does not count."""
    for left in (*folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"), folder / REMOVED):
        shutil.rmtree(left, ignore_errors=True)
    verified, unfinished, damaged = verify(folder)
    if damaged and not verified:
        raise UserError(f"no checkpoint is intact: {'; '.join(damaged.values())}; give another --workdir")
    for step in unfinished:
        log(f"the checkpoint of step {step} was not finished and does not count")
    for step, fault in damaged.items():
        log(f"WARNING: THE CHECKPOINT OF STEP {step} IS DAMAGED and moved to {folder.parent / DAMAGED}: {fault}")
    for step in (*unfinished, *damaged):
        place = folder.parent / DAMAGED / str(step)
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        os.replace(folder / str(step), place)


def save(manager: Checkpoints, step: int, items: dict[str, Any], score: float | None = None) -> None:
    """Starts to write the items of a step; `score` is that of an evaluation at this step, the greater the better."""
    args = ocp.args.Composite(**{name: ocp.args.PyTreeSave(tree) for name, tree in items.items()})
    metrics = None if score is None else {"score": score, "step": step}
    manager.save(step, args=args, metrics=metrics, force=True)


def restore(manager: Checkpoints, step: int, items: dict[str, Any]) -> dict[str, Any]:
    """Reads items of a step; the given trees of ShapeDtypeStruct with shardings say what and where to.

    Raises:
      UserError: the variables are of another network.
    """
    folder = pathlib.Path(manager.directory) / str(step)
    for name in items.keys() - {"optimizer"}:
        _check_same_network(folder, name, items[name])
    stored = {name: stored_name(folder, name) for name in items}
    args = ocp.args.Composite(**{stored[name]: ocp.args.StandardRestore(tree) for name, tree in items.items()})
    restored = manager.restore(step, args=args)
    return {name: restored[stored[name]] for name in items}


def evaluations_since_best(manager: Checkpoints, step: int, interval: int) -> int:
    """How many evaluations up to a step, one every `interval` steps, came after the best of them."""
    best = manager.best_step()
    return 0 if best is None else step // interval - best // interval


def _check_same_network(step_folder: pathlib.Path, name: str, expected: Any) -> None:
    ours, item = _shapes(expected), step_folder / stored_name(step_folder, name)
    if not item.exists():
        raise UserError(f"{step_folder}: has no {name}, which the network needs: {', '.join(ours)}")
    with ocp.StandardCheckpointer() as checkpointer:
        saved = checkpointer.metadata(item).item_metadata.tree
    theirs = _shapes(saved)
    if ours != theirs:
        different = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
        word = "parameters" if name.endswith("params") else "batch statistics"
        raise UserError(
            f"{step_folder.parents[1]}: its checkpoint is of another network: {len(different)} {word} differ, "
            f"the first is {different[0]} ({theirs.get(different[0])}, expected {ours.get(different[0])})"
        )


def _shapes(tree: Any) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}
