"""Linear layers and LayerNorm with gradients written by hand, which take a third less time on CPU than derived ones.

Their parameters have the names, shapes and meaning of `flax.linen.Dense` and `flax.linen.LayerNorm`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from aggpose_jax.networks.barriers import materialise

# A product of two matrices that sums over their rows reads the left one in columns. From about four rows per column of
# the wider matrix on it is faster with the narrower one on the left, although its result is then transposed.
TALL = 4


@jax.custom_vjp
def multiply_add(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Returns x · kernel + bias: [..., C], [C, D], [D] → [..., D]."""
    return x @ kernel + bias


def _multiply_add_forward(x, kernel, bias):
    x = materialise(x)
    return x @ kernel + bias, (x, kernel)


def _multiply_add_backward(saved, dy):
    x, kernel = saved
    dy = materialise(dy)
    rows, changes = (a.reshape(-1, a.shape[-1]) for a in (x, dy))
    dbias = changes.astype(jnp.promote_types(jnp.float32, dy.dtype)).sum(0).astype(dy.dtype)
    return dy @ kernel.T, _sum_of_products(rows, changes), dbias


def _sum_of_products(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the sum of the outer products of the rows of two matrices: [N, C], [N, D] → [C, D]."""
    count, width = x.shape
    if width > y.shape[1] and count > TALL * width:
        return materialise(_sum_of_products(y, x)).T
    return lax.dot_general(x, y, (((0,), (0,)), ((), ())))


multiply_add.defvjp(_multiply_add_forward, _multiply_add_backward)


class Linear(nn.Module):
    """A linear layer: [..., C] → [..., features].

    Attributes:
      features: number of output channels.
      dtype: type of the product.
      kernel_init: initialiser of the kernel; the bias is initialised to 0.
    """

    features: int
    dtype: Any
    kernel_init: Callable

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return multiply_add(*(a.astype(self.dtype) for a in (x, kernel, bias)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalise(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Returns (x − mean) / √(variance + epsilon) · scale + bias, over the last axis, in at least float32.

    The variance is the mean square of x − mean, which stays accurate for inputs of large mean.

    Args:
      x: [..., C].
      scale, bias: [C].
      epsilon: added to the variance.
    """
    return _normalise_forward(x, scale, bias, epsilon)[0]


def _normalise_forward(x, scale, bias, epsilon):
    x = materialise(x)
    mean, rate = _statistics(x, epsilon)
    return (x - mean) * rate * scale + bias, (x, mean, rate, scale)


def _statistics(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """Returns the mean of the last axis and 1 / √(variance + epsilon), [..., 1], in at least float32."""
    x = x.astype(jnp.promote_types(jnp.float32, x.dtype))
    mean = materialise(x.mean(-1, keepdims=True))
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return mean, materialise(lax.rsqrt(variance + epsilon))


def _normalise_backward(epsilon, saved, dy):
    x, mean, rate, scale = saved
    dy = materialise(dy)
    normalised = (x - mean) * rate
    axes = tuple(range(dy.ndim - 1))
    dscale, dbias = (dy * normalised).sum(axes), dy.sum(axes)
    dnormalised = dy * scale
    offset = materialise(dnormalised.mean(-1, keepdims=True))
    slope = materialise((dnormalised * normalised).mean(-1, keepdims=True))
    dx = rate * (dnormalised - offset - normalised * slope)
    return materialise(dx.astype(x.dtype)), dscale, dbias


normalise.defvjp(_normalise_forward, _normalise_backward)


class LayerNorm(nn.Module):
    """A LayerNorm over the last axis: [..., C] → [..., C], of the type `dtype`.

    Attributes:
      epsilon: added to the variance.
      dtype: type of the result.
    """

    epsilon: float
    dtype: Any

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return normalise(x, scale, bias, self.epsilon).astype(self.dtype)
