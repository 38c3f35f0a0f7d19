"""The kernel gradient of the 3×3 depthwise convolution as Pallas kernels of partial sums, for GPUs and TPUs.

Each program goes through the rows of some channels of one map, reads each token once, and adds in float32 its products
with the nine gradients around it. The nine sums of all programs are added afterwards.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

TILE = 1024  # elements of the tile of a row: 8 for each of a GPU program's 128 threads, so that nine fit in registers
LANES = 128  # channels of a TPU program


def kernel_gradient(x: jax.Array, dz: jax.Array) -> jax.Array:
    """Returns the gradient of the depthwise convolution of x with respect to its kernel, float32 [3, 3, C].

    CPU has no compiler for Pallas: there the kernel for GPUs is interpreted, for tests.

    Args:
      x: [B, H, W, C].
      dz: the gradient with respect to the output [B, H, W, C].
    """
    interpreted = functools.partial(gpu_kernel_gradient, interpret=True)
    return lax.platform_dependent(x, dz, cpu=interpreted, tpu=tpu_kernel_gradient, default=gpu_kernel_gradient)


def gpu_kernel_gradient(x: jax.Array, dz: jax.Array, interpret: bool = False) -> jax.Array:
    """Returns `kernel_gradient` by a Triton kernel."""
    b, _, width, c = x.shape
    tokens = pl.next_power_of_2(width)  # Triton's tiles have powers of two as sizes.
    channels = math.gcd(c, max(TILE // tokens, 1))
    sums = pl.pallas_call(
        functools.partial(_gpu_kernel, tokens=tokens),
        grid=(b, c // channels),
        out_shape=jax.ShapeDtypeStruct((b, 9, c), jnp.float32),
        out_specs=pl.BlockSpec((None, 9, channels), lambda n, block: (n, 0, block)),
        compiler_params=triton.CompilerParams(num_warps=4),
        interpret=interpret,
    )(x, dz)
    return sums.sum(0).reshape(3, 3, c)


def _gpu_kernel(x_ref, dz_ref, sums_ref, *, tokens):
    _, height, width, _ = x_ref.shape
    tile = (tokens, sums_ref.shape[1])
    n, block = pl.program_id(0), pl.program_id(1)
    columns = lax.broadcasted_iota(jnp.int32, tile, 0)
    channels = block * tile[1] + lax.broadcasted_iota(jnp.int32, tile, 1)

    def load(ref, row, shift):
        """Returns a row of a map, moved by some columns, in float32; it is 0 outside the map."""
        places = jnp.clip(columns + shift, 0, width - 1)
        inside = (columns + shift == places) & (row < height)
        values = ref[n, jnp.minimum(row, height - 1), places, channels]
        return jnp.where(inside, values.astype(jnp.float32), 0.0)

    def add_row(row, carry):
        above, here, sums = carry
        below = tuple(load(x_ref, row + 1, shift) for shift in (-1, 0, 1))
        dz = load(dz_ref, row, 0)
        neighbours = (*above, *here, *below)
        return here, below, tuple(total + token * dz for total, token in zip(sums, neighbours, strict=True))

    zeros = jnp.zeros(tile, jnp.float32)
    first = tuple(load(x_ref, 0, shift) for shift in (-1, 0, 1))
    *_, sums = lax.fori_loop(0, height, add_row, ((zeros,) * 3, first, (zeros,) * 9))
    for position, total in enumerate(sums):
        sums_ref[position] = total.sum(0)


def tpu_kernel_gradient(x: jax.Array, dz: jax.Array, interpret: bool = False) -> jax.Array:
    """Returns `kernel_gradient` by a Mosaic kernel, whose programs hold complete maps of some channels."""
    b, height, width, c = x.shape
    channels = LANES if c % LANES == 0 else c
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def block(*shape):
        return pl.BlockSpec((None, *shape, channels), lambda n, part: (n, *(0,) * len(shape), part))

    sums = pl.pallas_call(
        _tpu_kernel,
        grid=(b, c // channels),
        in_specs=[block(height + 2, width + 2), block(height, width)],
        out_specs=block(9),
        out_shape=jax.ShapeDtypeStruct((b, 9, c), jnp.float32),
        interpret=interpret,
    )(padded, dz)
    return sums.sum(0).reshape(3, 3, c)


def _tpu_kernel(x_ref, dz_ref, sums_ref):
    height, width, channels = dz_ref.shape

    def add_row(row, sums):
        dz = dz_ref[row].astype(jnp.float32)
        tokens = [x_ref[row + i].astype(jnp.float32)[j : j + width] for i in range(3) for j in range(3)]
        return tuple(total + (token * dz).sum(0, keepdims=True) for total, token in zip(sums, tokens, strict=True))

    zeros = jnp.zeros((1, channels), jnp.float32)
    sums_ref[...] = jnp.concatenate(lax.fori_loop(0, height, add_row, (zeros,) * 9))
