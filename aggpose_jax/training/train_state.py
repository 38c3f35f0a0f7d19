"""All that changes from step to step of a training, and its form in a checkpoint."""

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
    """All that changes from step to step.

    Attributes:
      step: number of steps taken, int32.
      variables: of the network, by collection: "params" and, where the network has them, "batch_stats".
      opt_state: state of the optimizer, which sees the parameters only.
      ema: exponential moving average of all `variables`, or None.
    """

    step: jax.Array
    variables: dict[str, Any]
    opt_state: Any
    ema: dict[str, Any] | None

    @property
    def params(self) -> Any:
        """The trained parameters."""
        return self.variables["params"]

    @property
    def evaluated(self) -> dict[str, Any]:
        """The variables to use the network with."""
        return self.variables if self.ema is None else self.ema

    def items(self) -> dict[str, Any]:
        """The state as the items of a checkpoint: one for each collection, and the optimizer with the step."""
        averages = {EMA + collection: tree for collection, tree in (self.ema or {}).items()}
        return {**self.variables, **averages, "optimizer": {"step": self.step, "optimizer": self.opt_state}}


def state_of(items: Mapping[str, Any]) -> TrainState:
    """The state of which these are the items."""
    optimizer, trees = items["optimizer"], {name: tree for name, tree in items.items() if name != "optimizer"}
    variables = {name: tree for name, tree in trees.items() if not name.startswith(EMA)}
    ema = {name.removeprefix(EMA): tree for name, tree in trees.items() if name.startswith(EMA)}
    return TrainState(optimizer["step"], variables, optimizer["optimizer"], ema or None)
