"""Operations whose fastest form depends on the platform. All forms of one operation give the same numbers.

Each form is picked when the program is lowered for a platform, so an exported program may serve several.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _around(x, neighbours):
    """The 3×3 tokens around each token of [B, H, W, C], as nine arrays like it: zero where there is none.

    Without `neighbours` they are on the grid; with them x is a strip of square units, see `depthwise_gelu`.
    """
    b, h, w, c = x.shape
    if neighbours is None:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    take = jax.vmap(lambda tokens, places: tokens.at[places].get(mode="fill", fill_value=0))
    # The barrier makes XLA fetch each unit with its border once, instead of nine times.
    bordered = lax.optimization_barrier(take(x.reshape(b, h * w, c), neighbours))
    return [bordered[:, :, i : i + w, j : j + w].reshape(x.shape) for i in range(3) for j in range(3)]


def _depthwise_shifts(x, kernel, neighbours=None):
    """Nine shifted multiply-adds, which XLA fuses; its grouped convolution is tens of times slower on CPU."""
    return sum(near * weight for near, weight in zip(_around(x, neighbours), kernel.reshape(9, -1), strict=True))


def _depthwise_convolution(x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        window_strides=(1, 1),
        padding="SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _depthwise(x, kernel, neighbours):
    """3×3 depthwise convolution with zero padding: [B, H, W, C], [3, 3, C] → [B, H, W, C]."""
    if neighbours is not None:
        return _depthwise_shifts(x, kernel, neighbours)
    return lax.platform_dependent(x, kernel, cpu=_depthwise_shifts, default=_depthwise_convolution)


def _kernel_gradient_reduction(x, dz, neighbours=None):
    """One reduction with nine results reads both arrays once; nine reductions would read them nine times.

    The sum over the batch comes last, so that a batch on several devices is summed across them once.
    """
    products = tuple((near * dz).astype(jnp.float32) for near in _around(x, neighbours))
    rows = lax.reduce(products, (np.float32(0),) * 9, lambda a, b: tuple(map(operator.add, a, b)), dimensions=(2,))
    return jnp.stack(rows).sum((1, 2)).reshape(3, 3, -1)


def _kernel_gradient(x, dz, neighbours):
    if neighbours is not None:
        return _kernel_gradient_reduction(x, dz, neighbours)
    return lax.platform_dependent(x, dz, cpu=_kernel_gradient_reduction, default=_kernel_gradient_convolution)


def _kernel_gradient_convolution(x, dz):
    kernel = jnp.zeros((3, 3, x.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda k: _depthwise_convolution(x, k), kernel)(dz)
    return gradient.astype(jnp.float32)


def _gelu(z):
    """The exact GELU by erf; the erfc of jax.nn.gelu costs several times as much on CPU."""
    return 0.5 * z * (1 + lax.erf(z * math.sqrt(0.5)))


@jax.custom_vjp
def depthwise_gelu(x: jax.Array, kernel: jax.Array, bias: jax.Array, neighbours: jax.Array | None = None) -> jax.Array:
    """GELU(3×3 depthwise convolution + bias) with zero padding and the exact (erf) GELU (AggPose Eq. 3).

    Args:
      x: [B, H, W, C].
      kernel: [3, 3, C].
      bias: [C].
      neighbours: [B, V, W + 2, W + 2] int, where x is a strip of V units of W×W tokens, one below the other: the places
        in [B, H·W, C] of the tokens of each unit and of those around it, beyond the end where there is none.
    Returns:
      [B, H, W, C]. Its gradient keeps one array, the sum before the GELU, and is written out for speed on CPU.
    """
    return _gelu(_depthwise(x, kernel, neighbours) + bias)


def _depthwise_gelu_forward(x, kernel, bias, neighbours):
    # The barrier makes XLA store z once instead of computing it again for each of its uses.
    z = lax.optimization_barrier(_depthwise(x, kernel, neighbours) + bias)
    return _gelu(z), (x, kernel, neighbours, z)


def _depthwise_gelu_backward(residuals, dy):
    x, kernel, neighbours, z = residuals
    _, gelu_vjp = jax.vjp(_gelu, z)
    dz = lax.optimization_barrier(gelu_vjp(dy)[0])
    dx = _depthwise(dz, kernel[::-1, ::-1], neighbours)
    dkernel = _kernel_gradient(x, dz, neighbours)
    dbias = dz.astype(jnp.float32).sum((0, 1, 2))
    return dx, dkernel.astype(kernel.dtype), dbias.astype(kernel.dtype), None


depthwise_gelu.defvjp(_depthwise_gelu_forward, _depthwise_gelu_backward)


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


def _convolution(windows, kernel, stride):
    return lax.conv_general_dilated(
        windows, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _convolution_as_product(windows, kernel, stride):
    """The patches side by side: XLA on CPU is up to ten times slower in the kernel gradient of many small images."""
    _, h, w, c = windows.shape
    size = kernel.shape[0]
    last_row, last_column = h - size + 1, w - size + 1
    windows = lax.optimization_barrier(windows)  # made once, not for each of the offsets
    offsets = [windows[:, i : i + last_row : stride, j : j + last_column : stride] for i, j in np.ndindex(size, size)]
    patches = jnp.concatenate(offsets, axis=-1)
    return patches @ kernel.reshape(size * size * c, -1)


def convolve_windows(windows: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolution without padding of many small images.

    Args:
      windows: [N, H, W, C].
      kernel: [k, k, C, D].
      stride: in both directions.
    Returns:
      [N, (H - k) // stride + 1, (W - k) // stride + 1, D].
    """
    return lax.platform_dependent(
        windows,
        kernel,
        cpu=functools.partial(_convolution_as_product, stride=stride),
        default=functools.partial(_convolution, stride=stride),
    )


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Nearest-neighbour enlargement: [B, H, W, C] → [B, H·factor, W·factor, C]."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)
