"""Losses."""

import jax
import jax.numpy as jnp


def heatmap_mse(heatmaps: jax.Array, targets: jax.Array, weight: jax.Array) -> jax.Array:
    """Half the mean squared error over batch, pixels and keypoints (AggPose §4.1).

    Args:
      heatmaps, targets: [B, h, w, K].
      weight: [B, K], multiplies the error before it is squared; a keypoint of weight 0 still counts in the mean.
    """
    return 0.5 * jnp.mean(jnp.square(weight[:, None, None] * (heatmaps - targets)))
