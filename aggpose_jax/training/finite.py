"""Checks, inside a training step, whether all of its quantities are finite."""

from typing import Any

import jax
import jax.numpy as jnp


def guarded_quantities(loss: Any, batch_stats: Any, gradient: Any, params: Any, frozen: Any) -> dict[str, Any]:
    """Returns the quantities that must be finite after a step, by name, in the order in which a step computes them.

    Args:
      loss: scalar.
      batch_stats, gradient, params: trees of arrays.
      frozen: tree of bool with the structure of `params`; frozen parameters are left out.
    """
    quantities = {"the loss": loss}
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch_stats):
        quantities[f"the batch statistics {jax.tree_util.keystr(path, simple=True, separator='/')}"] = leaf
    for kind, tree in (("the gradient of", gradient), ("the parameter", params)):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        for (path, leaf), is_frozen in zip(leaves, jax.tree.leaves(frozen), strict=True):
            if not is_frozen:
                quantities[f"{kind} {jax.tree_util.keystr(path, simple=True, separator='/')}"] = leaf
    return quantities


def are_finite(quantities: dict[str, jax.Array]) -> jax.Array:
    """Returns whether each of Q quantities is finite, [Q] bool; False also if squares overflow, as in the optimizer."""
    return jnp.stack([jnp.isfinite(jnp.square(quantity).sum()) for quantity in quantities.values()])
