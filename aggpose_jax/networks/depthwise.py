"""The 3×3 depthwise convolution in the forms that suit each platform. All forms compute the same function.

The form is chosen when a program is lowered for a platform, so an exported program can support several platforms.
"""

import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aggpose_jax.networks import fastest_forms
from aggpose_jax.networks.barriers import materialise

ROWS = 32  # number of rows of a map that one operation of the kernel gradient on CPU adds up


def _neighbourhoods(x):
    """Returns the 3×3 neighbourhoods of the tokens of x [B, H, W, C], as nine arrays like x: zero outside the map."""
    _, h, w, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]


def weighted_sum(neighbours: list[jax.Array], kernel: jax.Array) -> jax.Array:
    """Returns the 3×3 depthwise convolution of a map [B, H, W, C] with a kernel [3, 3, C].

    XLA fuses the nine multiply-adds; its grouped convolution is tens of times slower on CPU.

    Args:
      neighbours: nine arrays [B, H, W, C], the 3×3 neighbourhood of each token row by row.
      kernel: [3, 3, C].
    """
    return sum(token * weight for token, weight in zip(neighbours, kernel.reshape(9, -1), strict=True))


def weighted_sum_gradient(neighbours: list[jax.Array], dz: jax.Array) -> jax.Array:
    """Returns the gradient of `weighted_sum` with respect to the kernel, float32 [3, 3, C].

    One reduction with nine results reads both arrays once; nine reductions would read them nine times. The sum over
    the batch comes last, so that it is reduced across the devices of a sharded batch only once.

    Args:
      neighbours: nine arrays [B, H, W, C], the 3×3 neighbourhood of each token row by row.
      dz: the gradient with respect to the output [B, H, W, C].
    """
    products = tuple((token * dz).astype(jnp.float32) for token in neighbours)
    rows = lax.reduce(products, (np.float32(0),) * 9, lambda a, b: tuple(map(operator.add, a, b)), dimensions=(2,))
    return jnp.stack(rows).sum((1, 2)).reshape(3, 3, -1)


def _depthwise_shifts(x, kernel):
    return weighted_sum(_neighbourhoods(x), kernel)


def _depthwise_convolution(x, kernel, stride=1):
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        window_strides=(stride, stride),
        padding=((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


# The forms for devices other than CPU; the first one is taken unless the table of fastest forms names another.
FORWARD = {"grouped": _depthwise_convolution, "shifts": _depthwise_shifts}


def _depthwise(x, kernel):
    """Returns the 3×3 depthwise convolution with zero padding: [B, H, W, C], [3, 3, C] → [B, H, W, C]."""
    fastest = fastest_forms.choose("forward", FORWARD)
    return lax.platform_dependent(x, kernel, cpu=_depthwise_shifts, default=fastest)


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Returns a 3×3 depthwise convolution, padded by 1: [B, H, W, C], [3, 3, C] → [B, H / stride, W / stride, C]."""

    def shifts(x, kernel):
        return weighted_sum([token[:, ::stride, ::stride] for token in _neighbourhoods(x)], kernel)

    def convolution(x, kernel):
        return _depthwise_convolution(x, kernel, stride)

    return lax.platform_dependent(x, kernel, cpu=shifts, default=convolution)


def _kernel_gradient_reduction(x, dz):
    return weighted_sum_gradient(_neighbourhoods(x), dz)


def _kernel_gradient_by_rows(x, dz):
    """Returns the kernel gradient from sums of whole rows, the fastest of the forms that were tried on CPU.

    For maps [2, 64, 48, 256] it takes 4 ms on one core, one reduction with nine results (`weighted_sum_gradient`) takes
    11 ms, nine reductions 39 ms, and nine products with a vector of ones 50 ms.
    """
    _, h, w, _ = x.shape
    padded = materialise(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    dtype = jnp.promote_types(jnp.float32, x.dtype)

    def weight(u, v):
        rows = [(padded[:, i + u, v : v + w] * dz[:, i]).astype(dtype) for i in range(h)]
        parts = (materialise(sum(rows[i : i + ROWS])) for i in range(0, h, ROWS))
        return sum(part.sum((0, 1)) for part in parts)

    return jnp.stack([weight(u, v) for u, v in np.ndindex(3, 3)]).reshape(3, 3, -1)


def _kernel_gradient_convolution(x, dz):
    kernel = jnp.zeros((3, 3, x.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda k: _depthwise_convolution(x, k), kernel)(dz)
    return gradient.astype(jnp.float32)


def _kernel_gradient_pallas(x, dz):
    from aggpose_jax.networks import depthwise_pallas  # Pallas takes 0.1 s to import, and most devices do without.

    return depthwise_pallas.kernel_gradient(x, dz)


KERNEL_GRADIENT = {
    "grouped": _kernel_gradient_convolution,
    "shifts": _kernel_gradient_reduction,
    "pallas": _kernel_gradient_pallas,
}


def _kernel_gradient(x, dz):
    fastest = fastest_forms.choose("kernel_gradient", KERNEL_GRADIENT)
    return lax.platform_dependent(x, dz, cpu=_kernel_gradient_by_rows, default=fastest)


def _gelu(z):
    """Returns the exact GELU of z, computed by erf: the erfc of jax.nn.gelu costs several times as much on CPU."""
    return 0.5 * z * (1 + lax.erf(z * math.sqrt(0.5)))


def make_depthwise_gelu(depthwise: Callable, kernel_gradient: Callable) -> Callable:
    """Returns the function GELU(depthwise convolution + bias), with a hand-written gradient for speed on CPU.

    Besides its inputs it stores one array for the backward pass, the input of the GELU.

    Args:
      depthwise: the convolution, a function from (x, kernel [3, 3, C], *indices) to an array like x. Its gradient with
        respect to x must be the same convolution with the reversed kernel, so neighbourhoods must be symmetric.
      kernel_gradient: the gradient with respect to the kernel, a function from (x, dz, *indices) to float32 [3, 3, C].

    Returns:
      A function from (x, kernel, bias [C], *indices) to an array like x, without a gradient for `indices`.
    """

    @jax.custom_vjp
    def depthwise_gelu(x, kernel, bias, *indices):
        return _gelu(materialise(depthwise(x, kernel, *indices) + bias))

    def forward(x, kernel, bias, *indices):
        # Without the barrier, XLA computes z again for each of its uses instead of storing it once.
        z = lax.optimization_barrier(depthwise(x, kernel, *indices) + bias)
        return _gelu(z), (x, kernel, indices, z)

    def backward(residuals, dy):
        x, kernel, indices, z = residuals
        _, gelu_vjp = jax.vjp(_gelu, z)
        dz = lax.optimization_barrier(gelu_vjp(dy)[0])
        dx = materialise(depthwise(dz, kernel[::-1, ::-1], *indices))
        dkernel = kernel_gradient(x, dz, *indices)
        dbias = dz.astype(jnp.float32).sum((0, 1, 2))
        return dx, dkernel.astype(kernel.dtype), dbias.astype(kernel.dtype), *(None for _ in indices)

    depthwise_gelu.defvjp(forward, backward)
    return depthwise_gelu


_depthwise_gelu = make_depthwise_gelu(_depthwise, _kernel_gradient)


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
