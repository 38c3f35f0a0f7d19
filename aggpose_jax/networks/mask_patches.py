"""Masked images for a Mix Transformer: some mask patches of 32×32 pixels are visible, the others are masked.

At every level a reduced key covers one mask patch, so only patch embeddings and depthwise convolutions see across the
border of a patch, and only there a mask matters. Two implementations of one function: `VisiblePatches` encodes the
visible patches alone, `MaskedFullEncode` the full grid at full cost.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aggpose_jax.networks import ops
from aggpose_jax.networks.mit import Grid

PATCH = 32  # pixels a side: stride × reduction, the same at every level


def split_patches(x: jax.Array, side: int = PATCH) -> jax.Array:
    """[B, H, W, C] → its units in the order of reading [B, H / side · W / side, side, side, C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, -1, side, side, c)


def join_patches(units: jax.Array, rows: int) -> jax.Array:
    """The inverse of `split_patches`, for `rows` units below each other."""
    b, count, side, _, c = units.shape
    x = units.reshape(b, rows, count // rows, side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows * side, -1, c)


def draw_visible(rng: jax.Array, batch: int, units: int, visible: int) -> jax.Array:
    """[batch, visible] int: the units that stay of each image, in random order."""
    return jnp.argsort(jax.random.uniform(rng, (batch, units)), axis=1)[:, :visible]


@jax.vmap
def gather(values: jax.Array, kept: jax.Array) -> jax.Array:
    """[B, U, …], [B, V] → [B, V, …]."""
    return values[kept]


@functools.partial(jax.vmap, in_axes=(0, 0, None))
def scatter(values: jax.Array, kept: jax.Array, background: jax.Array) -> jax.Array:
    """[B, V, …], [B, V], [U, …] → [B, U, …]: the values in their places, the background in the others."""
    return background.at[kept].set(values, unique_indices=True)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("kept",), meta_fields=("rows", "columns"))
class VisiblePatches(Grid):
    """The kept units as a strip, one below the other: a feature map is [B, V·s, s, C] for units of s×s tokens.

    Everything that stays within a unit, or is attention among the kept, runs on the strip as on any feature map.

    Args:
      kept: [B, V] which units stay; all different.
      rows, columns: of units in the image.
    """

    def __init__(self, kept: jax.Array, rows: int, columns: int):
        self.kept, self.rows, self.columns = kept, rows, columns

    def take(self, images: jax.Array) -> jax.Array:
        """[B, H, W, C] → the strip of its kept units."""
        return _strip(gather(split_patches(images, images.shape[1] // self.rows), self.kept))

    def put(self, x: jax.Array) -> jax.Array:
        """A strip → [B, H, W, C], zero where a unit is dropped."""
        b, _, s, c = x.shape
        nothing = jnp.zeros((self.rows * self.columns, s, s, c), x.dtype)
        return join_patches(scatter(x.reshape(b, -1, s, s, c), self.kept, nothing), self.rows)

    def windows(self, x: jax.Array, halo: int) -> jax.Array:
        """A strip → each kept unit and what lies `halo` around it [B·V, s + 2·halo, s + 2·halo, C], else zero."""
        s, c = x.shape[2:]
        padded = jnp.pad(self.put(x), ((0, 0), (halo, halo), (halo, halo), (0, 0)))

        def cut(image, unit):
            row, column = s * (unit // self.columns), s * (unit % self.columns)
            return lax.dynamic_slice(image, (row, column, 0), (s + 2 * halo, s + 2 * halo, c))

        windows = jax.vmap(jax.vmap(cut, in_axes=(None, 0)))(padded, self.kept)
        return windows.reshape(-1, *windows.shape[2:])

    def convolve(self, convolution, x, halo):
        def in_windows(x, kernel, strides, *_, **__):  # for nn.Conv, whose parameters stay
            return convolve_windows(x, kernel, strides[0])

        y = convolution(padding=0, conv_general_dilated=in_windows)(self.windows(x, halo))
        return _strip(y.reshape(*self.kept.shape, *y.shape[1:]))

    def depthwise_gelu(self, x, kernel, bias):
        return _strip_depthwise_gelu(x, kernel, bias, self.neighbours(x.shape[2]))

    def neighbours(self, s: int) -> jax.Array:
        """[B, V, s + 2, s + 2] int: where on the strip, flattened, the tokens of each unit and those around it are.

        The places of tokens that are not there lie beyond its end.
        """
        b, v = self.kept.shape
        places = jnp.arange(v * s * s).reshape(v, s, s)
        beyond = jnp.full((self.rows * self.columns, s, s), v * s * s)
        grid = join_patches(scatter(jnp.broadcast_to(places, (b, v, s, s)), self.kept, beyond)[..., None], self.rows)
        padded = jnp.pad(grid[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=v * s * s)
        row, column = (s * np.arange(count)[:, None] + np.arange(s + 2) for count in (self.rows, self.columns))
        bordered = padded[:, row[:, None, :, None], column[None, :, None, :]]
        return gather(bordered.reshape(b, -1, s + 2, s + 2), self.kept)


def _around_on_strip(x, neighbours):
    """The 3×3 tokens around each token of a strip, as nine arrays like it: zero where there is none.

    Args:
      x: [B, V·s, s, C].
      neighbours: of `VisiblePatches.neighbours`.
    """
    b, h, s, c = x.shape
    take = jax.vmap(lambda tokens, places: tokens.at[places].get(mode="fill", fill_value=0))
    # The barrier makes XLA fetch each unit with its border once, instead of nine times.
    bordered = lax.optimization_barrier(take(x.reshape(b, h * s, c), neighbours))
    return [bordered[:, :, i : i + s, j : j + s].reshape(x.shape) for i in range(3) for j in range(3)]


_strip_depthwise_gelu = ops.depthwise_gelu_with(
    lambda x, kernel, neighbours: ops.weighted_sum(_around_on_strip(x, neighbours), kernel),
    lambda x, dz, neighbours: ops.weighted_sum_gradient(_around_on_strip(x, neighbours), dz),
)


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


def _strip(units: jax.Array) -> jax.Array:
    b, v, s, _, c = units.shape
    return units.reshape(b, v * s, s, c)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("visible",), meta_fields=())
class MaskedFullEncode(Grid):
    """The same numbers at the kept units, computed on the whole grid.

    The input of what looks across units is masked, not its output, where biases would leak.

    Args:
      visible: [B, rows, columns] bool: which units are kept.
    """

    def __init__(self, visible: jax.Array):
        self.visible = visible

    def mask(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] with zeros where a unit is dropped."""
        side = x.shape[1] // self.visible.shape[1]
        return jnp.where(ops.upsample_nearest(self.visible[..., None], side), x, 0)

    def convolve(self, convolution, x, halo):
        return super().convolve(convolution, self.mask(x), halo)

    def depthwise_gelu(self, x, kernel, bias):
        return super().depthwise_gelu(self.mask(x), kernel, bias)

    def hide(self, scores):
        return jnp.where(self.visible.reshape(len(self.visible), 1, 1, -1), scores, -jnp.inf)


def sine_positions(rows: int, columns: int, width: int) -> np.ndarray:
    """[rows · columns, width] sines and cosines of the row in one half, of the column in the other.

    The frequencies are those of Vaswani et al. 2017 (§3.5) in either half.
    """
    frequencies = 10000.0 ** -np.linspace(0, 1, width // 4, endpoint=False)
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = [place[:, None] * frequencies for place in (row, column)]
    return np.concatenate([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)
