"""Operations whose fastest form depends on the platform. All forms of one operation give the same numbers.

Each form is picked when the program is lowered for a platform, so an exported program may serve several.
"""

import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _around(x):
    """The 3×3 tokens around each token of [B, H, W, C], as nine arrays like it: zero beyond the border."""
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]


def weighted_sum(near: list[jax.Array], kernel: jax.Array) -> jax.Array:
    """Returns a 3×3 depthwise convolution from the nine neighbours of each token and the kernel [3, 3, C].

    XLA fuses nine multiply-adds; its grouped convolution is tens of times slower on CPU.
    """
    return sum(token * weight for token, weight in zip(near, kernel.reshape(9, -1), strict=True))


def weighted_sum_gradient(near: list[jax.Array], dz: jax.Array) -> jax.Array:
    """Returns the kernel gradient of `weighted_sum`, float32 [3, 3, C].

    One reduction with nine results reads both arrays once; nine reductions would read them nine times. The sum over
    the batch comes last, so that a batch on several devices is summed across them once.
    """
    products = tuple((token * dz).astype(jnp.float32) for token in near)
    rows = lax.reduce(products, (np.float32(0),) * 9, lambda a, b: tuple(map(operator.add, a, b)), dimensions=(2,))
    return jnp.stack(rows).sum((1, 2)).reshape(3, 3, -1)


def _depthwise_shifts(x, kernel):
    return weighted_sum(_around(x), kernel)


def _depthwise_convolution(x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _depthwise(x, kernel):
    """3×3 depthwise convolution with zero padding: [B, H, W, C], [3, 3, C] → [B, H, W, C]."""
    return lax.platform_dependent(x, kernel, cpu=_depthwise_shifts, default=_depthwise_convolution)


def _kernel_gradient_reduction(x, dz):
    return weighted_sum_gradient(_around(x), dz)


def _kernel_gradient_convolution(x, dz):
    kernel = jnp.zeros((3, 3, x.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda k: _depthwise_convolution(x, k), kernel)(dz)
    return gradient.astype(jnp.float32)


def _kernel_gradient(x, dz):
    return lax.platform_dependent(x, dz, cpu=_kernel_gradient_reduction, default=_kernel_gradient_convolution)


def _gelu(z):
    """The exact GELU by erf; the erfc of jax.nn.gelu costs several times as much on CPU."""
    return 0.5 * z * (1 + lax.erf(z * math.sqrt(0.5)))


def depthwise_gelu_with(depthwise: Callable, kernel_gradient: Callable) -> Callable:
    """Returns the function GELU(depthwise convolution + bias), whose gradient is written out for speed on CPU.

    It keeps one array for the gradient, the sum before the GELU.

    Args:
      depthwise: (x, kernel [3, 3, C], *where) → an array like x. Its gradient for x is itself with the kernel
        reversed, so a token must be a neighbour of each of its neighbours.
      kernel_gradient: (x, dz, *where) → float32 [3, 3, C].
    Returns:
      (x, kernel, bias [C], *where) → an array like x; `where` has no gradient.
    """

    @jax.custom_vjp
    def depthwise_gelu(x, kernel, bias, *where):
        return _gelu(depthwise(x, kernel, *where) + bias)

    def forward(x, kernel, bias, *where):
        # The barrier makes XLA store z once instead of computing it again for each of its uses.
        z = lax.optimization_barrier(depthwise(x, kernel, *where) + bias)
        return _gelu(z), (x, kernel, where, z)

    def backward(residuals, dy):
        x, kernel, where, z = residuals
        _, gelu_vjp = jax.vjp(_gelu, z)
        dz = lax.optimization_barrier(gelu_vjp(dy)[0])
        dx = depthwise(dz, kernel[::-1, ::-1], *where)
        dkernel = kernel_gradient(x, dz, *where)
        dbias = dz.astype(jnp.float32).sum((0, 1, 2))
        return dx, dkernel.astype(kernel.dtype), dbias.astype(kernel.dtype), *(None for _ in where)

    depthwise_gelu.defvjp(forward, backward)
    return depthwise_gelu


_depthwise_gelu = depthwise_gelu_with(_depthwise, _kernel_gradient)


def depthwise_gelu(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Returns GELU(3×3 depthwise convolution + bias) with zero padding and the exact (erf) GELU (AggPose Eq. 3).

    Args:
      x: [B, H, W, C].
      kernel: [3, 3, C].
      bias: [C].
    Returns:
      [B, H, W, C].
    """
    return _depthwise_gelu(x, kernel, bias)


def reduce_windows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution whose stride is its kernel size, as one matrix product: windows never overlap.

    Args:
      x: [B, H, W, C], H and W divisible by r.
      kernel: [r, r, C, D].
    Returns:
      [B, H / r, W / r, D].
    """
    b, h, w, c = x.shape
    r = kernel.shape[0]
    windows = x.reshape(b, h // r, r, w // r, r, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // r, w // r, r * r * c)
    return windows @ kernel.reshape(r * r * c, -1)


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Nearest-neighbour enlargement: [B, H, W, C] → [B, H·factor, W·factor, C]."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)


def transposed_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed 4×4 convolution of stride 2 and padding 1: [B, H, W, C], [4, 4, C, D] → [B, 2H, 2W, D].

    The kernel is that of the plain convolution of a map with zeros between its pixels, padded by 2; a transposed kernel
    of PyTorch is its mirror image. Three of four products would be with zeros, and XLA on CPU takes ten times the time,
    so the rows and columns of each parity are computed by the 2×2 weights that meet pixels.
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
