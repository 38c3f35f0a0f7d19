"""Losses."""

import jax
import jax.numpy as jnp


def heatmap_mse(heatmaps: jax.Array, targets: jax.Array, weight: jax.Array, hardest: int = 0) -> jax.Array:
    """Half the mean squared error over batch, pixels and keypoints (AggPose §4.1).

    Args:
      heatmaps, targets: [B, h, w, K].
      weight: [B, K], multiplies the error before it is squared; a keypoint of weight 0 still counts in the mean.
      hardest: only so many keypoints of each example count, those of the greatest error (online hard keypoint mining,
        Chen et al. 2018); 0 counts all.
    """
    error = jnp.square(weight[:, None, None] * (heatmaps - targets))
    if hardest:
        error = jax.lax.top_k(error.mean((1, 2)), hardest)[0]
    return 0.5 * error.mean()
