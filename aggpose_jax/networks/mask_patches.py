"""Masked images for a Mix Transformer: some mask patches of 32×32 pixels are visible, the others are masked.

At every level the sequence reduction makes one attention key of each mask patch, so only patch embeddings and depthwise
convolutions cross the borders of patches. Masks matter for these and for the keys. There are two implementations of the
same function: `VisiblePatches` encodes the visible patches alone, `MaskedFullEncode` the full grid at full cost.

Mask patches may also have 16×16 pixels, but only in the masked full encode: then a key, and a token of the last level,
belongs to 2×2 patches, and it is visible if any of them is.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aggpose_jax.networks import depthwise, ops
from aggpose_jax.networks.mit import Grid

PATCH = 32  # default side of a mask patch in pixels: that of an attention key, stride × reduction at every level


def split_patches(x: jax.Array, side: int = PATCH) -> jax.Array:
    """Returns the patches of x [B, H, W, C], numbered row by row: [B, H / side · W / side, side, side, C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, -1, side, side, c)


def join_patches(patches: jax.Array, rows: int) -> jax.Array:
    """Returns the map [B, H, W, C] of patches [B, U, side, side, C] in `rows` rows: the inverse of `split_patches`."""
    b, count, side, _, c = patches.shape
    x = patches.reshape(b, rows, count // rows, side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows * side, -1, c)


def draw_visible(rng: jax.Array, batch: int, patches: int, visible: int) -> jax.Array:
    """Returns the indices of `visible` random patches of each image, in random order: int [batch, visible]."""
    return jnp.argsort(jax.random.uniform(rng, (batch, patches)), axis=1)[:, :visible]


@jax.vmap
def gather(values: jax.Array, visible: np.ndarray | jax.Array) -> jax.Array:
    """Returns the values of the visible patches: values [B, U, …], indices [B, V] → [B, V, …]."""
    return values[visible]


@functools.partial(jax.vmap, in_axes=(0, 0, None))
def scatter(values: jax.Array, visible: jax.Array, background: jax.Array) -> jax.Array:
    """Returns [B, U, …]: the values [B, V, …] at the visible patches [B, V], the background [U, …] at masked ones."""
    return background.at[visible].set(values, unique_indices=True)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("visible",), meta_fields=("rows", "columns"))
class VisiblePatches(Grid):
    """A grid of the visible patches only, stacked vertically: feature maps are [B, V·s, s, C] for s×s tokens per patch.

    Operations within a patch and attention among the visible patches run on this stack as on any feature map.

    Args:
      visible: [B, V] distinct indices of the visible patches.
      rows, columns: numbers of rows and columns of mask patches in the image.
    """

    def __init__(self, visible: jax.Array, rows: int, columns: int):
        self.visible, self.rows, self.columns = visible, rows, columns

    def take(self, images: jax.Array) -> jax.Array:
        """Returns the visible patches of images [B, H, W, C], stacked vertically: [B, V·s, s, C]."""
        return _stack(gather(split_patches(images, images.shape[1] // self.rows), self.visible))

    def put(self, x: jax.Array) -> jax.Array:
        """Returns the full map [B, H, W, C] of stacked patches [B, V·s, s, C]: zero at masked patches."""
        b, _, s, c = x.shape
        background = jnp.zeros((self.rows * self.columns, s, s, c), x.dtype)
        return join_patches(scatter(x.reshape(b, -1, s, s, c), self.visible, background), self.rows)

    def windows(self, x: jax.Array, halo: int) -> jax.Array:
        """Returns every visible patch with a border of `halo` tokens: [B·V, s + 2·halo, s + 2·halo, C].

        The border is zero at masked patches and outside the image.

        Args:
          x: stacked patches [B, V·s, s, C].
          halo: width of the border in tokens.
        """
        s, c = x.shape[2:]
        padded = jnp.pad(self.put(x), ((0, 0), (halo, halo), (halo, halo), (0, 0)))

        def cut(image, patch):
            row, column = s * (patch // self.columns), s * (patch % self.columns)
            return lax.dynamic_slice(image, (row, column, 0), (s + 2 * halo, s + 2 * halo, c))

        windows = jax.vmap(jax.vmap(cut, in_axes=(None, 0)))(padded, self.visible)
        return windows.reshape(-1, *windows.shape[2:])

    def convolve(self, convolution, x, halo):
        def in_windows(x, kernel, strides, *_, **__):  # called by nn.Conv, which creates the parameters
            return convolve_windows(x, kernel, strides[0])

        y = convolution(padding=0, conv_general_dilated=in_windows)(self.windows(x, halo))
        return _stack(y.reshape(*self.visible.shape, *y.shape[1:]))

    def depthwise_gelu(self, x, kernel, bias):
        return _stacked_depthwise_gelu(x, kernel, bias, self.neighbours(x.shape[2]))

    def neighbours(self, s: int) -> jax.Array:
        """Returns the indices of each patch's tokens and of those that border it: int [B, V, s + 2, s + 2].

        The indices count the V·s·s tokens of the flattened stack. Tokens of masked patches and outside the image have
        the index V·s·s, which is out of range.

        Args:
          s: tokens on a side of a patch.
        """
        b, v = self.visible.shape
        indices = jnp.arange(v * s * s).reshape(v, s, s)
        missing = jnp.full((self.rows * self.columns, s, s), v * s * s)
        grid = join_patches(
            scatter(jnp.broadcast_to(indices, (b, v, s, s)), self.visible, missing)[..., None], self.rows
        )
        padded = jnp.pad(grid[..., 0], ((0, 0), (1, 1), (1, 1)), constant_values=v * s * s)
        row, column = (s * np.arange(count)[:, None] + np.arange(s + 2) for count in (self.rows, self.columns))
        bordered = padded[:, row[:, None, :, None], column[None, :, None, :]]
        return gather(bordered.reshape(b, -1, s + 2, s + 2), self.visible)


def _stacked_neighbourhoods(x, neighbours):
    """Returns the 3×3 neighbourhoods of the tokens of stacked patches, as nine arrays like x: zero for missing tokens.

    Args:
      x: stacked patches [B, V·s, s, C].
      neighbours: indices of the neighbours from `VisiblePatches.neighbours`, [B, V, s + 2, s + 2].
    """
    b, h, s, c = x.shape
    take = jax.vmap(lambda tokens, indices: tokens.at[indices].get(mode="fill", fill_value=0))
    # The barrier makes XLA gather each patch with its border once instead of nine times.
    bordered = lax.optimization_barrier(take(x.reshape(b, h * s, c), neighbours))
    return [bordered[:, :, i : i + s, j : j + s].reshape(x.shape) for i in range(3) for j in range(3)]


_stacked_depthwise_gelu = depthwise.make_depthwise_gelu(
    lambda x, kernel, neighbours: depthwise.weighted_sum(_stacked_neighbourhoods(x, neighbours), kernel),
    lambda x, dz, neighbours: depthwise.weighted_sum_gradient(_stacked_neighbourhoods(x, neighbours), dz),
)


def _convolution(windows, kernel, stride):
    return lax.conv_general_dilated(
        windows, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _convolution_as_product(windows, kernel, stride):
    """Returns the convolution of `convolve_windows` as one matrix product of unfolded windows.

    Over many small images, XLA on CPU computes the kernel gradient of a convolution up to ten times more slowly.
    """
    _, h, w, c = windows.shape
    size = kernel.shape[0]
    last_row, last_column = h - size + 1, w - size + 1
    # Without this barrier, XLA computes `windows` again for each of the size² kernel positions, whose inputs are sliced
    # from it below.
    windows = lax.optimization_barrier(windows)
    shifted = [windows[:, i : i + last_row : stride, j : j + last_column : stride] for i, j in np.ndindex(size, size)]
    unfolded = jnp.concatenate(shifted, axis=-1)
    return unfolded @ kernel.reshape(size * size * c, -1)


def convolve_windows(windows: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Returns a convolution without padding of many small images, in the form that is fastest on the platform.

    Args:
      windows: images [N, H, W, C].
      kernel: [k, k, C, D].
      stride: stride in both directions.

    Returns:
      [N, (H - k) // stride + 1, (W - k) // stride + 1, D].
    """
    return lax.platform_dependent(
        windows,
        kernel,
        cpu=functools.partial(_convolution_as_product, stride=stride),
        default=functools.partial(_convolution, stride=stride),
    )


def _stack(patches: jax.Array) -> jax.Array:
    b, v, s, _, c = patches.shape
    return patches.reshape(b, v * s, s, c)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("is_visible",), meta_fields=("side",))
class MaskedFullEncode(Grid):
    """A grid of all patches, with the same results at the visible patches as `VisiblePatches`, at full cost.

    The inputs of operations that cross the borders of patches are masked. If their outputs were masked instead, biases
    of the following layers would leak from masked to visible patches.

    Args:
      is_visible: [B, rows, columns] bool: True at visible patches.
      side: side of a patch in pixels, 32 or 16.
    """

    def __init__(self, is_visible: jax.Array, side: int = PATCH):
        self.is_visible, self.side = is_visible, side

    def visible_tokens(self, rows: int) -> jax.Array:
        """Returns which tokens of a map with `rows` rows are in a visible patch, or contain one: [B, rows, columns]."""
        b, patch_rows, patch_columns = self.is_visible.shape
        if rows >= patch_rows:
            return ops.upsample_nearest(self.is_visible[..., None], rows // patch_rows)[..., 0]
        factor = patch_rows // rows
        return self.is_visible.reshape(b, rows, factor, patch_columns // factor, factor).any((2, 4))

    def mask(self, x: jax.Array) -> jax.Array:
        """Returns a feature map x [B, H, W, C] with zeros at the tokens of masked patches."""
        return jnp.where(self.visible_tokens(x.shape[1])[..., None], x, 0)

    def convolve(self, convolution, x, halo):
        return super().convolve(convolution, self.mask(x), halo)

    def depthwise_gelu(self, x, kernel, bias):
        return super().depthwise_gelu(self.mask(x), kernel, bias)

    def reduce(self, reduction, x):
        return reduction(self.mask(x))

    def mask_scores(self, scores):
        keys = self.visible_tokens(self.is_visible.shape[1] * self.side // PATCH)
        return jnp.where(keys.reshape(len(keys), 1, 1, -1), scores, -jnp.inf)


def sine_positions(rows: int, columns: int, width: int) -> np.ndarray:
    """Returns float32 position embeddings [rows · columns, width]: sines and cosines of the row and of the column.

    The first half of the channels encodes the row, the second the column, each with the frequencies of Vaswani et al.
    2017 (§3.5).
    """
    frequencies = 10000.0 ** -np.linspace(0, 1, width // 4, endpoint=False)
    row, column = np.divmod(np.arange(rows * columns), columns)
    angles = [position[:, None] * frequencies for position in (row, column)]
    return np.concatenate([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)
