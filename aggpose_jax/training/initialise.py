"""What a network starts from: one of our runs."""

import pathlib
from collections.abc import Mapping

import jax
from jax.sharding import Mesh

from aggpose_jax.errors import UserError
from aggpose_jax.models.transplant import Account, transplant
from aggpose_jax.training import checkpoint, sharding
from aggpose_jax.training.config import load_config
from aggpose_jax.training.tasks import make_task


def initial_params(source: pathlib.Path, new: Mapping, mesh: Mesh) -> tuple[dict, Account]:
    """New parameters, replaced by those of a source that belong there.

    Args:
      source: workdir of a run; its best checkpoint is taken.
      new: parameters of the network to start.
      mesh: where to read a checkpoint to.

    Returns:
      The parameters, and where each comes from: see `transplant`.

    Raises:
      UserError: if the source cannot be read or is of a network of other sizes.
    """
    parameters = load_run(source, mesh)
    try:
        return transplant(new, parameters)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def load_run(workdir: pathlib.Path, mesh: Mesh) -> dict:
    """The best parameters of a run, whole on every device."""
    task = make_task(load_config(workdir / "config.json"))
    everywhere = sharding.replicated(mesh)
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=everywhere),
        jax.eval_shape(task.init, jax.random.key(0)),
    )
    return checkpoint.load_params(workdir, abstract)[1]
