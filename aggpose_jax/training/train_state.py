"""The training state, and its conversion to and from the items of a checkpoint."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax

from aggpose_jax.estimation.checkpoints import EMA


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("step", "variables", "opt_state", "ema"), meta_fields=()
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes from one training step to the next.

    Attributes:
      step: number of steps taken, int32.
      variables: variables of the network by collection: "params" and, if the network has them, "batch_stats".
      opt_state: state of the optimizer, which updates the parameters only.
      ema: exponential moving average of all `variables`, or None if the run does not average.
    """

    step: jax.Array
    variables: dict[str, Any]
    opt_state: Any
    ema: dict[str, Any] | None

    @property
    def params(self) -> Any:
        """The parameters of the network that the optimizer updates, without their moving average."""
        return self.variables["params"]

    @property
    def eval_variables(self) -> dict[str, Any]:
        """The variables for evaluation: the moving average if there is one, else the trained variables."""
        return self.variables if self.ema is None else self.ema

    def checkpoint_items(self) -> dict[str, Any]:
        """Returns the state as the items of a checkpoint: one for each collection, and "optimizer" with the step."""
        averages = {EMA + collection: tree for collection, tree in (self.ema or {}).items()}
        return {**self.variables, **averages, "optimizer": {"step": self.step, "optimizer": self.opt_state}}


def state_from_items(items: Mapping[str, Any]) -> TrainState:
    """Returns the state of which `TrainState.checkpoint_items` gave these items."""
    optimizer, trees = items["optimizer"], {name: tree for name, tree in items.items() if name != "optimizer"}
    variables = {name: tree for name, tree in trees.items() if not name.startswith(EMA)}
    ema = {name.removeprefix(EMA): tree for name, tree in trees.items() if name.startswith(EMA)}
    return TrainState(optimizer["step"], variables, optimizer["optimizer"], ema or None)
