"""Parts of transformers: attention and drop path."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def attention_weights(queries: jax.Array, keys: jax.Array, bias: jax.Array | float = 0.0) -> jax.Array:
    """Returns softmax(q kᵀ / √d + bias) over the keys, in the type of the queries.

    Args:
      queries: [B, N, heads, d].
      keys: [B, M, heads, d].
      bias: what is added to the scores, of a shape that broadcasts to [B, heads, N, M].

    Returns:
      [B, heads, N, M]. The softmax is computed in at least float32.
    """
    scores = jnp.einsum("bnhd,bmhd->bhnm", queries, keys) * queries.shape[-1] ** -0.5
    scores = scores.astype(jnp.promote_types(jnp.float32, scores.dtype)) + bias
    return jax.nn.softmax(scores).astype(queries.dtype)


def weighted_values(weights: jax.Array, values: jax.Array) -> jax.Array:
    """Returns sums of values [B, M, heads, d] weighted by [B, heads, N, M], heads side by side: [B, N, heads · d]."""
    sums = jnp.einsum("bhnm,bmhd->bnhd", weights, values)
    return sums.reshape(*sums.shape[:2], -1)


def drop_path(y: jax.Array, rate: jax.Array | float, rng: jax.Array) -> jax.Array:
    """Returns a residual branch y [B, …], zero with probability `rate` for each example, else divided by 1 − rate."""
    keep_rate = 1.0 - rate
    keep = jax.random.bernoulli(rng, keep_rate, (y.shape[0], *(1,) * (y.ndim - 1)))
    return jnp.where(keep, y / jnp.asarray(keep_rate, y.dtype), 0)


def drop_path_rates(depths: Sequence[int], highest: float) -> list[tuple[float, ...]]:
    """Returns drop-path rates that rise linearly from 0 to `highest` over all blocks, one tuple per stage."""
    rates = np.linspace(0.0, highest, sum(depths))
    ends = np.cumsum(depths)
    return [tuple(rates[end - depth : end].tolist()) for depth, end in zip(depths, ends, strict=True)]
