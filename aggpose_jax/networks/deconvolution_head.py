"""The head of SimpleBaseline: three transposed convolutions and a last layer (Xiao et al. 2018, §2)."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax.networks import ops
from aggpose_jax.networks.batch_norm import BATCH_NORM, BatchNorm
from aggpose_jax.networks.weight_table import CONVOLUTION, Entry, Layout, Row, module_entries

DECONVOLUTIONS = 3
head_init = nn.initializers.normal(0.001)

KERNEL = [Row("kernel", "weight", CONVOLUTION)]
# (in, out, rows, columns) ↔ [rows, columns, in, out], with rows and columns reversed
DECONVOLUTION = Layout(
    lambda a: a.transpose(2, 3, 0, 1)[::-1, ::-1],
    lambda a: a[::-1, ::-1].transpose(2, 3, 0, 1),
)


class TransposedConvolution(nn.Module):
    """A transposed 4×4 convolution with stride 2 and without bias: [B, H, W, C] → [B, 2H, 2W, features]."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", head_init, (4, 4, x.shape[-1], self.features), jnp.float32)
        return ops.transposed_convolution(x, kernel.astype(self.dtype))


def run_head(x, train: bool, keypoints: int, width: int, dtype: Any):
    """Runs the head as modules of the network that calls it: [B, H, W, C] → [B, 8H, 8W, keypoints].

    Args:
      x: the last map of an encoder.
      train: normalise with the statistics of the batch instead of the running statistics.
      keypoints: number of keypoints.
      width: channels of the transposed convolutions.
      dtype: type of activations and products.
    """
    for i in range(1, DECONVOLUTIONS + 1):
        x = TransposedConvolution(width, dtype, name=f"deconv{i}")(x)
        x = nn.relu(BatchNorm(name=f"deconv{i}_bn")(x, not train))
    return nn.Conv(keypoints, (1, 1), dtype=dtype, kernel_init=head_init, name="head")(x)


def head_entries(prefix: str = "") -> list[Entry]:
    """Returns the weight table entries of the transposed convolutions and the last layer; names start with a prefix."""
    entries = []
    for i in range(DECONVOLUTIONS):
        names = [f"{prefix}deconv_layers.{3 * i + j}" for j in range(2)]
        entries += module_entries(f"deconv{i + 1}", names[0], [Row("kernel", "weight", DECONVOLUTION)])
        entries += module_entries(f"deconv{i + 1}_bn", names[1], BATCH_NORM)
    return entries + module_entries("head", f"{prefix}final_layer", [*KERNEL, Row("bias", "bias")])
