"""Applies a network in training mode."""

from typing import Any

import jax
from flax import linen as nn


def apply_training(
    network: nn.Module, variables: dict[str, Any], *inputs: jax.Array, drop_path_rng: jax.Array
) -> tuple[jax.Array, dict[str, Any]]:
    """Applies a network with `train=True` and stochastic depth.

    Args:
      network: the Flax module.
      variables: its variables, by collection.
      *inputs: the arguments of its `__call__`.
      drop_path_rng: random key of stochastic depth.

    Returns:
      The output, and the updated collections: all but "params", such as batch statistics.
    """
    collections = [name for name in variables if name != "params"]
    return network.apply(  # type: ignore[return-value]  # Flax's type includes calls without `mutable`
        variables, *inputs, train=True, rngs={"drop_path": drop_path_rng}, mutable=collections
    )
