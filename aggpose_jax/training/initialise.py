"""What a network starts from: one of our runs, or a weight file from elsewhere."""

import pathlib
from collections.abc import Callable, Mapping

import jax
from jax.sharding import Mesh

from aggpose_jax.config import load_config
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import sharding
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.foreign import read_tensors
from aggpose_jax.weights.transfer import Account, transplant


def initial_params(
    source: pathlib.Path, shapes: Mapping, init: Callable[[], Mapping], mesh: Mesh
) -> tuple[Mapping, Account]:
    """The parameters of a source where they belong in a network, and new ones elsewhere.

    Args:
      source: workdir of a run, whose best checkpoint is taken; or a weight file.
      shapes: of the network's parameters.
      init: makes new parameters; called if any are needed.
      mesh: where to read a checkpoint to.

    Returns:
      The parameters, and where each comes from.

    Raises:
      UserError: if the source cannot be read or is of a network of other sizes.
    """
    if not source.exists():
        raise UserError(f"{source}: no such run or weight file to start from")
    parameters = load_run(source, mesh) if source.is_dir() else load_file(source)
    try:
        params, account = transplant(shapes, parameters)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return (transplant(init(), parameters)[0] if account.new else params), account


def load_file(path: pathlib.Path) -> dict:
    """The parameters in a weight file, as our network of that kind has them."""
    tensors = weight_files.read(path)
    try:
        return read_tensors(tensors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load_run(workdir: pathlib.Path, mesh: Mesh, which: str = "best") -> dict:
    """The best or latest parameters of a run, whole on every device."""
    task = make_task(load_config(workdir / "config.json"))
    everywhere = sharding.replicated(mesh)
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=everywhere),
        jax.eval_shape(task.init, jax.random.key(0)),
    )
    return checkpoint.load_params(workdir, abstract, which)[1]
