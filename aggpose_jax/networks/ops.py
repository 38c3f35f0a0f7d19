"""Operations of networks in a form that is fast on every platform: strided windows, maxima and enlargements."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from aggpose_jax.networks.barriers import materialise


def reduce_windows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns a convolution whose stride is its kernel size, as one matrix product, since its windows do not overlap.

    Args:
      x: [B, H, W, C], H and W divisible by r.
      kernel: [r, r, C, D].

    Returns:
      [B, H / r, W / r, D].
    """
    b, h, w, c = x.shape
    r = kernel.shape[0]
    # A copy with six axes is faster on CPU than one that also merges them.
    windows = materialise(x.reshape(b, h // r, r, w // r, r, c).transpose(0, 1, 3, 2, 4, 5))
    return windows.reshape(b, h // r, w // r, r * r * c) @ kernel.reshape(r * r * c, -1)


def halve_by_maximum(x: jax.Array) -> jax.Array:
    """Returns the maximum in the 3×3 neighbourhood of every second row and column: [B, H, W, C] → [B, H/2, W/2, C]."""
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Returns x enlarged by nearest-neighbour interpolation: [B, H, W, C] → [B, H·factor, W·factor, C]."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)


def upsample_bilinear(x: jax.Array, factor: int) -> jax.Array:
    """Returns x enlarged by interpolation between centres of pixels: [B, H, W, C] → [B, H·factor, W·factor, C].

    It equals `jax.image.resize`, which interpolates by matrix products.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        before = x.take(np.maximum(np.arange(size) - 1, 0), axis)
        after = x.take(np.minimum(np.arange(size) + 1, size - 1), axis)
        distances = [
            (i + 0.5) / factor - 0.5 for i in range(factor)
        ]  # of each new pixel from the centre of its old one
        parts = [(1 - abs(d)) * x + abs(d) * (before if d < 0 else after) for d in distances]
        shape = [side * factor if i == axis else side for i, side in enumerate(x.shape)]
        x = jnp.stack(parts, axis + 1).reshape(shape)
    return x


def transposed_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns a transposed 4×4 convolution of stride 2 and padding 1: [B, H, W, C], [4, 4, C, D] → [B, 2H, 2W, D].

    It equals an ordinary convolution with this kernel of the map with zeros between its pixels, padded by 2. (PyTorch
    stores the kernel flipped in both directions.) In that form three of four products are with zeros, and XLA on CPU
    takes ten times as long. Therefore the output rows and columns of each parity are computed separately, with the 2×2
    weights that meet pixels.
    """
    b, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parities = [
        lax.conv_general_dilated(
            padded[:, i : i + h + 1, j : j + w + 1],
            kernel[i::2, j::2],
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        for i, j in np.ndindex(2, 2)
    ]
    stacked = jnp.stack(parities).reshape(2, 2, b, h, w, -1)
    return stacked.transpose(2, 3, 0, 4, 1, 5).reshape(b, 2 * h, 2 * w, -1)
