"""The loss function of pose networks."""

import jax
import jax.numpy as jnp


def heatmap_mse(heatmaps: jax.Array, targets: jax.Array, weight: jax.Array, hardest: int = 0) -> jax.Array:
    """Returns half the mean squared error over batch, pixels and keypoints (AggPose §4.1), a scalar.

    Args:
      heatmaps: [B, h, w, K] predicted heatmaps.
      targets: [B, h, w, K] target heatmaps.
      weight: [B, K] factors of the error before it is squared; a keypoint of weight 0 still counts in the mean.
      hardest: number of keypoints with the largest error that count in each example (online hard keypoint mining, Chen
        et al. 2018); with 0 all count.
    """
    error = jnp.square(weight[:, None, None] * (heatmaps - targets))
    if hardest:
        error = jax.lax.top_k(error.mean((1, 2)), hardest)[0]
    return 0.5 * error.mean()
