"""Checkpoints of a run: written in the background, committed atomically, the latest and the best kept."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from aggpose_jax.errors import UserError

METRIC = "AP"
FOLDER = "checkpoints"


def _metric(metrics: dict) -> tuple[float, int]:
    return metrics[METRIC], -metrics["step"]  # of equals the earliest is the best


def open_manager(workdir: pathlib.Path, *, read_only: bool = False) -> ocp.CheckpointManager:
    """The manager of WORKDIR/checkpoints.

    Items of a step: `params`, `average` where a run keeps one, and `optimizer`.
    """
    policy = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(1),
            checkpoint_managers.BestN(get_metric_fn=_metric, n=1, keep_checkpoints_without_metrics=False),
        ]
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=_metric,
        preservation_policy=None if read_only else policy,
        cleanup_tmp_directories=not read_only,
        read_only=read_only,
        create=not read_only,
    )
    return ocp.CheckpointManager(workdir.absolute() / FOLDER, options=options)


def save(manager: ocp.CheckpointManager, step: int, items: dict[str, Any], metrics: dict | None = None) -> None:
    """Starts to write the items of a step; `metrics` are those of an evaluation at this step."""
    args = ocp.args.Composite(**{name: ocp.args.StandardSave(tree) for name, tree in items.items()})
    manager.save(step, args=args, metrics=metrics and metrics | {"step": step}, force=True)


def restore(manager: ocp.CheckpointManager, step: int, items: dict[str, Any]) -> dict[str, Any]:
    """Reads items of a step; the given trees of ShapeDtypeStruct with shardings say what and where to.

    Raises:
      UserError: the parameters are of another network.
    """
    for name in set(items) & {"params", "average"}:
        _check_same_network(manager, step, name, items[name])
    args = ocp.args.Composite(**{name: ocp.args.StandardRestore(tree) for name, tree in items.items()})
    restored = manager.restore(step, args=args)
    return {name: restored[name] for name in items}


def best_step(manager: ocp.CheckpointManager) -> int | None:
    """The step of the best evaluation, or the latest if none was evaluated."""
    best = manager.best_step()
    return manager.latest_step() if best is None else best


def evaluations_since_best(manager: ocp.CheckpointManager, step: int, interval: int) -> int:
    """How many evaluations up to a step, one every `interval` steps, came after the best of them."""
    best = manager.best_step()
    return 0 if best is None else step // interval - best // interval


def load_params(workdir: pathlib.Path, abstract_params: Any, which: str = "best") -> tuple[int, Any]:
    """The parameters to use a run by: their average where it kept one.

    Args:
      workdir: of the run.
      abstract_params: tree of ShapeDtypeStruct with shardings.
      which: "best" or "latest".

    Returns:
      The step and the parameters.

    Raises:
      UserError: if there is no checkpoint or it is of another network.
    """
    if not (workdir / FOLDER).is_dir():
        raise UserError(f"{workdir}: no {FOLDER} folder in it; give the workdir of a run")
    with open_manager(workdir, read_only=True) as manager:
        step = best_step(manager) if which == "best" else manager.latest_step()
        if step is None:
            raise UserError(f"{workdir / FOLDER}: no finished checkpoint in it")
        item = "average" if (manager.directory / str(step) / "average").exists() else "params"
        return step, restore(manager, step, {item: abstract_params})[item]


def _check_same_network(manager: ocp.CheckpointManager, step: int, item: str, expected: Any) -> None:
    with ocp.StandardCheckpointer() as checkpointer:
        saved = checkpointer.metadata(manager.directory / str(step) / item).item_metadata.tree
    ours, theirs = _shapes(expected), _shapes(saved)
    if ours != theirs:
        different = sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))
        raise UserError(
            f"{manager.directory.parent}: its checkpoint is of another network: {len(different)} parameters differ, "
            f"the first is {different[0]} ({theirs.get(different[0])}, expected {ours.get(different[0])})"
        )


def _shapes(tree: Any) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}
