"""What a network starts from: one of our runs, or a weight file from elsewhere."""

import pathlib
from collections.abc import Callable

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import read_weights
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import TransferReport, transfer


def initial_variables(source: pathlib.Path, target: Weights, init: Callable[[], dict]) -> tuple[dict, TransferReport]:
    """Returns the variables of a source where they belong in a network, and new ones elsewhere.

    Args:
      source: workdir of a run, whose best checkpoint is taken; or a weight file.
      target: the network, and the shapes of its variables.
      init: makes new variables; called if any are needed.

    Returns:
      The variables, and where each comes from.

    Raises:
      UserError: if the source cannot be read or is of a network of other sizes.
    """
    weights = read_weights(source)
    try:
        variables, report = transfer(target, weights)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if report.new:
        variables, _ = transfer(target._replace(variables=init()), weights)
    return variables, report
