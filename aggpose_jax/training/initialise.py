"""What a network starts from: one of our runs, or a weight file from elsewhere."""

import pathlib
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from aggpose_jax import networks
from aggpose_jax.config import load_config
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import sharding
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import Weights, read_state_dict
from aggpose_jax.weights.transfer import TransferReport, transfer


def initial_variables(
    source: pathlib.Path, target: Weights, init: Callable[[], dict], mesh: Mesh
) -> tuple[dict, TransferReport]:
    """Returns the variables of a source where they belong in a network, and new ones elsewhere.

    Args:
      source: workdir of a run, whose best checkpoint is taken; or a weight file.
      target: the network, and the shapes of its variables.
      init: makes new variables; called if any are needed.
      mesh: where to read a checkpoint to.

    Returns:
      The variables, and where each comes from.

    Raises:
      UserError: if the source cannot be read or is of a network of other sizes.
    """
    if not source.exists():
        raise UserError(f"{source}: no such run or weight file to start from")
    weights = load_run(source, mesh) if source.is_dir() else load_file(source)
    try:
        variables, report = transfer(target, weights)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if report.new:
        variables, _ = transfer(target._replace(variables=init()), weights)
    return variables, report


def load_file(path: pathlib.Path) -> Weights:
    """Returns the variables in a weight file, and of which network they are."""
    tensors = weight_files.read(path)
    try:
        return read_state_dict(tensors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def load_run(workdir: pathlib.Path, mesh: Mesh, which: str = "best") -> Weights:
    """Returns the best or latest variables of a run, whole on every device."""
    config = load_config(workdir / "config.json")
    task = make_task(config)
    everywhere = sharding.replicated(mesh)
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=everywhere),
        jax.eval_shape(task.init, jax.random.key(0)),
    )
    variables = checkpoint.load_variables(workdir, abstract, which)[1]
    return Weights(networks.find(config.model.name), task.model, variables)
