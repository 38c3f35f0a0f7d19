"""Encodes keypoints as heatmaps and decodes heatmaps to keypoints. All functions are batched and can run inside jit.

Heatmaps are [B, h, w, K] with a quarter of the height and width of the input; points are (x, y).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

STRIDE = 4
LOG_FLOOR = 1e-10


@dataclasses.dataclass(frozen=True)
class Codec:
    """An encoder of keypoints as heatmaps, and the matching decoder.

    Attributes:
      input_size: (height, width) of the crop in pixels.
      sigma: standard deviation of the target Gaussian, in heatmap pixels.
      decoder: "dark" (Zhang et al. 2020), "quarter" (a quarter pixel towards the higher neighbour), "quarter_each_axis"
        (the same for x and y independently, which differ at the border) or "argmax".
      blur_kernel, blur_sigma: size and standard deviation of DARK's Gaussian blur, in heatmap pixels.
      convention: convention of the crop transform, "unbiased" or "hrnet" (see `geometry.crop_transform`).
      nothing: x and y, in heatmap pixels, of a keypoint whose heatmap has no positive value.
      rounded: round the centres of the target Gaussians to pixels and cut these off beyond 3 sigma (Xiao et al. 2018).
    """

    input_size: tuple[int, int]
    sigma: float = 2.0
    decoder: str = "dark"
    blur_kernel: int = 11
    blur_sigma: float = 2.0
    convention: str = "unbiased"
    nothing: int = 0
    rounded: bool = False

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Returns the size (h, w) of a heatmap in pixels, a quarter of the crop's."""
        return self.input_size[0] // STRIDE, self.input_size[1] // STRIDE

    def to_heatmap(self, points: jax.Array) -> jax.Array:
        """Converts points [..., 2] from input pixels to heatmap pixels.

        Points are scaled about the centres by the ratio of the widths, as in `geometry.crop_transform`.
        """
        factor, input_centre, centre = self._scaling
        return (points - input_centre) * factor + centre

    def to_input(self, points: jax.Array) -> jax.Array:
        """Converts points [..., 2] from heatmap pixels to input pixels: the inverse of `to_heatmap`."""
        factor, input_centre, centre = self._scaling
        return (points - centre) / factor + input_centre

    @property
    def _scaling(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Returns the factor from input to heatmap pixels, and the centres [2] of the input and of the heatmap."""
        border = 0 if self.convention == "hrnet" else 1
        size = np.array(self.input_size[::-1], np.float32) - border
        heatmap_size = np.array(self.heatmap_size[::-1], np.float32) - border
        return heatmap_size[0] / size[0], size / 2, heatmap_size / 2

    def encode(self, keypoints: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns untruncated Gaussians centred at the subpixel positions (AggPose §4.1; unbiased as in DARK).

        With `rounded`, they are centred at pixels and cut off instead.

        Args:
          keypoints: [B, K, 2] in input pixels.
          weight: [B, K], 0 for unlabelled points.
        Returns:
          Targets [B, h, w, K] and weights [B, K]. Both are 0 for unlabelled points, and for points that lie more than
          3 sigma outside of the heatmap (beyond the left and top border: 3 sigma + 2 pixels).
        """
        h, w = self.heatmap_size
        x, y = jnp.moveaxis(self.to_heatmap(keypoints), -1, 0)
        if self.rounded:
            x, y = jnp.floor(x + 0.5), jnp.floor(y + 0.5)
        low, margin = -3 * self.sigma - 2, 3 * self.sigma
        in_range = (x > low) & (x < w + margin) & (y > low) & (y < h + margin)
        weight = weight * in_range
        gaussian_x, gaussian_y = self._gaussian(w, x), self._gaussian(h, y)
        has_target = (weight > 0).astype(gaussian_x.dtype)
        return jnp.einsum("bky,bkx,bk->byxk", gaussian_y, gaussian_x, has_target), weight

    def _gaussian(self, size: int, center: jax.Array) -> jax.Array:
        """Returns the target Gaussians [B, K, size] along an axis of a heatmap with the centres [B, K]."""
        offset = jnp.arange(size) - center[..., None]
        gaussian = jnp.exp(-(offset**2) / (2 * self.sigma**2))
        return gaussian * (jnp.abs(offset) <= 3 * self.sigma) if self.rounded else gaussian

    def decode(self, heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Decodes heatmaps [B, h, w, K].

        Returns:
          Positions [B, K, 2] in input pixels, and scores [B, K], the maxima of the heatmaps. Where a heatmap has no
          positive value, the position is that of its pixel (`nothing`, `nothing`).
        """
        peaks, scores = argmax(heatmaps)
        if self.decoder == "dark":
            peaks = peaks + _dark_offset(heatmaps, peaks, scores, self.blur_kernel, self.blur_sigma)
        elif self.decoder in ("quarter", "quarter_each_axis"):
            peaks = peaks + _quarter_offset(heatmaps, peaks, each_axis=self.decoder == "quarter_each_axis")
        if self.nothing:
            peaks = jnp.where(scores[..., None] > 0, peaks, self.nothing)
        return self.to_input(peaks), scores


def argmax(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the pixels (x, y) of the maxima of heatmaps [B, h, w, K] as int32 [B, K, 2], and their values [B, K].

    The pixel is (0, 0) where no value is positive.
    """
    # First the row, then the pixel in it: jnp.argmax over whole heatmaps takes several times as long on CPU.
    y = jnp.argmax(heatmaps.max(axis=2), axis=1)
    row = jax.vmap(jax.vmap(lambda heatmap, y: heatmap[y], in_axes=(2, 0)))(heatmaps, y)
    scores = row.max(axis=-1)
    peaks = jnp.stack([jnp.argmax(row, axis=-1), y], axis=-1).astype(jnp.int32)
    return jnp.where(scores[..., None] > 0, peaks, 0), scores


def flip_back(heatmaps: jax.Array, permutation: np.ndarray, shifted: bool = False) -> jax.Array:
    """Returns the heatmaps [B, h, w, K] of mirrored crops mirrored back, with left and right keypoints exchanged.

    The permutation [K] is `KeypointSet.flip_permutation`. If `shifted`, the result is moved by one pixel to the right;
    its first column stays.
    """
    mirrored = heatmaps[:, :, ::-1, permutation]
    return jnp.concatenate([mirrored[:, :, :1], mirrored[:, :, :-1]], axis=2) if shifted else mirrored


def _windows(maps: jax.Array, first: jax.Array, size: int) -> jax.Array:
    """Returns the values [B, K, size, size] of maps [h, B, K, w] in windows whose first pixels are [B, K, 2] (x, y).

    A window that does not lie in the map is moved into it.
    """

    # With vmap, a batch that is sharded over several devices stays local; indexing with arrays would all-gather it.
    def window(plane: jax.Array, pixel: jax.Array) -> jax.Array:
        return lax.dynamic_slice(plane, (pixel[1], pixel[0]), (size, size))

    return jax.vmap(jax.vmap(window, in_axes=(1, 0)), in_axes=(1, 0))(maps, first)


def _inside(peaks: jax.Array, size: tuple[int, ...], margin: int) -> jax.Array:
    """Returns [B, K] bool: whether each peak [B, K, 2] is at least `margin` pixels away from the border of its map."""
    h, w = size
    x, y = peaks[..., 0], peaks[..., 1]
    return (x >= margin) & (x <= w - 1 - margin) & (y >= margin) & (y <= h - 1 - margin)


def _quarter_offset(heatmaps: jax.Array, peaks: jax.Array, each_axis: bool) -> jax.Array:
    """Returns the offset [B, K, 2] of each peak by a quarter pixel towards its higher neighbour in x and in y.

    It is 0 for peaks in the first two columns or rows, and in the last ones. With `each_axis`, x and y move
    independently: x if its column allows it and the row is not the first, y likewise (MMPose).
    """
    padded = jnp.pad(heatmaps.transpose(1, 0, 3, 2), ((1, 1), (0, 0), (0, 0), (1, 1)))
    f = _windows(padded, peaks, 3)  # around the peaks, which the padding moves by a pixel
    difference = jnp.stack([f[..., 1, 2] - f[..., 1, 0], f[..., 2, 1] - f[..., 0, 1]], axis=-1)
    h, w = heatmaps.shape[1:3]
    inside = (peaks >= 2) & (peaks <= np.array([w - 2, h - 2]))
    moves = inside & (peaks[..., ::-1] >= 1) if each_axis else inside.all(-1, keepdims=True)
    return jnp.where(moves, 0.25 * jnp.sign(difference), 0.0)


def blur_matrix(size: int, kernel: int, sigma: float) -> np.ndarray:
    """Returns the [size, size] matrix that applies a Gaussian blur to a signal [size], with zero padding."""
    offset = np.arange(size)[:, None] - np.arange(size)
    taps = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / (2 * sigma**2))
    weight = np.exp(-(offset**2) / (2 * sigma**2)) / taps.sum()
    return np.where(np.abs(offset) <= kernel // 2, weight, 0.0).astype(np.float32)


def _blur(heatmaps: jax.Array, kernel: int, sigma: float) -> jax.Array:
    """Returns heatmaps [B, h, w, K] after a Gaussian blur with zero padding, as [h, B, K, w].

    With this order of the axes, both directions are matrix products without a transposition between them.
    """
    h, w = heatmaps.shape[1:3]
    product = functools.partial(jnp.tensordot, axes=1, precision=lax.Precision.HIGHEST)
    rows = product(blur_matrix(h, kernel, sigma), heatmaps.transpose(1, 0, 3, 2))
    return product(rows, blur_matrix(w, kernel, sigma))  # The matrices are symmetric.


def _dark_offset(heatmaps: jax.Array, peaks: jax.Array, scores: jax.Array, kernel: int, sigma: float) -> jax.Array:
    """Returns the offset [B, K, 2] of one Newton step on the log of the blurred heatmap (DARK Eq. 6–8).

    It follows from the second-order Taylor expansion at the peak, and is 0 for peaks less than 2 pixels from the border
    and where the Hessian is singular.
    """
    h, w = heatmaps.shape[1:3]
    if min(h, w) < 5:  # Every peak is near the border.
        return jnp.zeros(peaks.shape, heatmaps.dtype)
    blurred = _blur(heatmaps, kernel, sigma)
    rescale = scores / jnp.maximum(blurred.max((0, 3)), LOG_FLOOR)
    f = jnp.log(jnp.maximum(_windows(blurred, peaks - 2, 5) * rescale[..., None, None], LOG_FLOOR))
    gx = 0.5 * (f[..., 2, 3] - f[..., 2, 1])
    gy = 0.5 * (f[..., 3, 2] - f[..., 1, 2])
    fxx = 0.25 * (f[..., 2, 4] - 2 * f[..., 2, 2] + f[..., 2, 0])
    fyy = 0.25 * (f[..., 4, 2] - 2 * f[..., 2, 2] + f[..., 0, 2])
    fxy = 0.25 * (f[..., 3, 3] - f[..., 1, 3] - f[..., 3, 1] + f[..., 1, 1])
    determinant = fxx * fyy - fxy**2
    usable = _inside(peaks, (h, w), 2) & (determinant != 0)
    safe = jnp.where(usable, determinant, 1.0)
    offset = jnp.stack([fxy * gy - fyy * gx, fxy * gx - fxx * gy], axis=-1) / safe[..., None]
    return jnp.where(usable[..., None], offset, 0.0)
