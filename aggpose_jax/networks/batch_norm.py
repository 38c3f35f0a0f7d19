"""Batch normalisation with PyTorch's running statistics."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks.weight_table import Constant, Entry, Row

EPSILON = 1e-5
MOMENTUM = 0.1  # weight of the current batch in an update of the running statistics

BATCH_NORM = [  # rows of the weight table of a network for a `BatchNorm`, see `weight_table.Row`
    Row("scale", "weight"),
    Row("bias", "bias"),
    Row("mean", "running_mean", collection="batch_stats"),
    Row("var", "running_var", collection="batch_stats"),
]


class BatchNorm(nn.Module):
    """A batch normalisation of each channel: [B, H, W, C] → [B, H, W, C] of the same dtype.

    As in PyTorch, a batch is normalised with its biased variance, and the running variance averages unbiased variances;
    Flax's own BatchNorm averages biased ones. In a jitted program whose batch is sharded over devices, the statistics
    are those of the global batch.

    The running `mean` and `var` are in the collection "batch_stats", which must be mutable unless `use_running_average`
    is true. Statistics are computed in float32, or in float64 for float64 inputs.
    """

    @nn.compact
    def __call__(self, x: jax.Array, use_running_average: bool) -> jax.Array:
        c = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (c,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (c,), jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (c,), jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, (c,), jnp.float32)

        promoted = x.astype(jnp.promote_types(jnp.float32, x.dtype))
        if use_running_average:
            mean, var = running_mean.value, running_var.value
        else:
            mean, var = promoted.mean((0, 1, 2)), promoted.var((0, 1, 2))  # Two passes stay accurate for a large mean.
            if not self.is_initializing():
                count = x.size // c
                update_running(running_mean, mean)
                update_running(running_var, var * (count / max(count - 1, 1)))
        normalised = (promoted - mean) * (jax.lax.rsqrt(var + EPSILON) * scale) + bias
        return normalised.astype(x.dtype)


def update_running(running: nn.Variable, batch: jax.Array) -> None:
    """Updates a running mean or variance with that of a batch. The dtype of the running statistic stays."""
    running.value = ((1 - MOMENTUM) * running.value + MOMENTUM * batch).astype(running.value.dtype)


def batch_counters(entries: Sequence[Entry]) -> list[Constant]:
    """Returns the zero `num_batches_tracked` that PyTorch stores with the running statistics of each BatchNorm."""
    names = [name for entry in entries for name in entry.names if name.endswith(".running_mean")]
    counters = [name.removesuffix("running_mean") + "num_batches_tracked" for name in names]
    return [Constant(name, np.zeros((), np.int64)) for name in counters]
