"""A network applied as in training."""

from typing import Any

import jax
from flax import linen as nn


def apply_training(
    network: nn.Module, variables: dict[str, Any], *inputs: jax.Array, drop_path_rng: jax.Array
) -> tuple[jax.Array, dict[str, Any]]:
    """Returns (output, updated collections): all but the parameters, such as batch statistics."""
    collections = [name for name in variables if name != "params"]
    return network.apply(variables, *inputs, train=True, rngs={"drop_path": drop_path_rng}, mutable=collections)
