"""Initial variables of a network, taken from a run of this package or from a weight file."""

import pathlib
from collections.abc import Callable

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import read_weights
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import TransferReport, transfer


def initial_variables(source: pathlib.Path, target: Weights, init: Callable[[], dict]) -> tuple[dict, TransferReport]:
    """Returns variables for a network, copied from a source where the networks correspond and new elsewhere.

    Args:
      source: workdir of a run, of which the best checkpoint is used, or a weight file.
      target: the network and the shapes of its variables.
      init: returns new variables; it is called only if some are needed.

    Returns:
      The variables, and a report of the origin of each.

    Raises:
      UserError: the source cannot be read, or its network has other sizes.
    """
    weights = read_weights(source)
    try:
        variables, report = transfer(target, weights)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    if report.new:
        variables, _ = transfer(target._replace(variables=init()), weights)
    return variables, report
