"""Checkpoints of a run: written in the background, committed atomically, with a checksum manifest of every file.

A step without a SHA256SUMS file is incomplete and is ignored: its save or its removal was interrupted. The best step
and the two latest are kept, so that an earlier one can be used when the latest is damaged.
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

DAMAGED = "damaged"  # folder in the folder of a run to which damaged and unfinished checkpoints are moved
# Folder inside the checkpoints folder to which a step is moved in one rename before its files are deleted.
REMOVED = "removed"


def _handlers() -> ocp.handlers.CheckpointHandlerRegistry:
    """Returns checkpoint handlers with which a single process writes the arrays that are replicated on all processes.

    By default each process writes a slice, for which orbax (tested: 0.11.20 and 0.12.8) compiles a program for every
    shape: the first save of 120 arrays on 8 devices takes 47 seconds, but a preempted run may have only 30 seconds.
    StandardSave has no such option, so items are saved with PyTreeSave, whose files StandardRestore reads too.
    """
    types = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, ocp.type_handlers.ArrayHandler(use_replica_parallel=False)),
        (np.ndarray, ocp.type_handlers.NumpyHandler()),
    )
    registry = ocp.handlers.DefaultCheckpointHandlerRegistry()
    registry.add(None, ocp.args.PyTreeSave, ocp.PyTreeCheckpointHandler(type_handler_registry=types))
    return registry


class Checkpoints(ocp.CheckpointManager):
    """A checkpoint manager of WORKDIR/checkpoints that writes the checksum manifest of each step once it is committed.

    The items of a step are `params`; `batch_stats` if the network has batch statistics; the moving averages of both,
    with the prefix `ema_`, if the run keeps them; and `optimizer`.
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
        """Starts to write the checkpoint of a step; replaces the one that was saved at this step before its evaluation.

        The checksum manifest is written in the background once the checkpoint is committed. The next save waits for it.
        """
        if step in self.all_steps():
            self.delete(step)
        saved = super().save(step, *args, **kwargs)
        self._manifest = self._thread.submit(self._write_manifest, step)
        return saved

    def wait_until_finished(self) -> None:
        """Blocks until the last step is committed and its manifest is written."""
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
    """Returns the checkpoint manager of a run, after all steps that are not verified were moved out of its folder.

    Args:
      workdir: folder of the run.
      log: called with one line for every step that is unfinished or damaged.

    Raises:
      UserError: the run has checkpoints and every one is damaged.
    """
    folder = workdir.absolute() / FOLDER
    if distributed.is_primary():
        _clean_up(folder, log)
    distributed.wait_for_all("checkpoints are cleaned up")
    return Checkpoints(folder)


def _clean_up(folder: pathlib.Path, log: Callable[[str], None]) -> None:
    """Deletes what a killed process left of a save or removal, and moves unfinished and damaged steps to DAMAGED."""
    for left in (*folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"), folder / REMOVED):
        shutil.rmtree(left, ignore_errors=True)
    verified, unfinished, damaged = verify(folder)
    if damaged and not verified:
        raise UserError(f"every checkpoint is damaged: {'; '.join(damaged.values())}; give another --workdir")
    for step in unfinished:
        log(f"the checkpoint of step {step} is incomplete and is ignored")
    for step, fault in damaged.items():
        log(f"WARNING: THE CHECKPOINT OF STEP {step} IS DAMAGED and was moved to {folder.parent / DAMAGED}: {fault}")
    for step in (*unfinished, *damaged):
        destination = folder.parent / DAMAGED / str(step)
        shutil.rmtree(destination, ignore_errors=True)
        destination.parent.mkdir(exist_ok=True)
        os.replace(folder / str(step), destination)


def save(manager: Checkpoints, step: int, items: dict[str, Any], score: float | None = None) -> None:
    """Starts to write the checkpoint of a step; training continues meanwhile.

    Args:
      manager: checkpoint manager of the run.
      step: number of training steps taken.
      items: trees of arrays by the name of the item.
      score: score of the evaluation at this step, higher is better; None if the step was not evaluated.
    """
    args = ocp.args.Composite(**{name: ocp.args.PyTreeSave(tree) for name, tree in items.items()})
    metrics = None if score is None else {"score": score, "step": step}
    manager.save(step, args=args, metrics=metrics, force=True)


def restore(manager: Checkpoints, step: int, items: dict[str, Any]) -> dict[str, Any]:
    """Returns items of a step, read from its checkpoint.

    Args:
      manager: checkpoint manager of the run.
      step: number of the step.
      items: the items to read: trees of ShapeDtypeStruct with the expected shapes and the shardings of the result.

    Raises:
      UserError: the checkpoint has variables of another network.
    """
    folder = pathlib.Path(manager.directory) / str(step)
    for name in items.keys() - {"optimizer"}:
        _check_same_network(folder, name, items[name])
    stored = {name: stored_name(folder, name) for name in items}
    args = ocp.args.Composite(**{stored[name]: ocp.args.StandardRestore(tree) for name, tree in items.items()})
    restored = manager.restore(step, args=args)
    return {name: restored[stored[name]] for name in items}


def evaluations_since_best(manager: Checkpoints, step: int, interval: int) -> int:
    """Returns how many evaluations, one every `interval` steps up to `step`, followed the best one; 0 without any."""
    best = manager.best_step()
    return 0 if best is None else step // interval - best // interval


def _check_same_network(step_folder: pathlib.Path, name: str, expected: Any) -> None:
    current, item = _shapes(expected), step_folder / stored_name(step_folder, name)
    if not item.exists():
        raise UserError(
            f"{step_folder}: the checkpoint has no {name}, which this network needs for {', '.join(current)}; give the "
            "configuration of this run, or another --workdir"
        )
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(item).item_metadata.tree
    stored = _shapes(metadata)
    if current != stored:
        different = sorted(path for path in current.keys() | stored.keys() if current.get(path) != stored.get(path))
        kind = "parameters" if name.endswith("params") else "batch statistics"
        raise UserError(
            f"{step_folder.parents[1]}: the checkpoint is of another network. {len(different)} {kind} differ, the "
            f"first is {different[0]}: checkpoint {stored.get(different[0])}, this model {current.get(different[0])}. "
            "Give the configuration of this run, or another --workdir."
        )


def _shapes(tree: Any) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}
