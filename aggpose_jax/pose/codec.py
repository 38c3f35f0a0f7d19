"""Keypoints → heatmaps and heatmaps → keypoints, side by side. Batched, and meant to run inside jit.

Heatmaps are [B, h, w, K], a quarter of the input's size; points are (x, y).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

STRIDE = 4
LOG_FLOOR = 1e-10


@dataclasses.dataclass(frozen=True)
class Codec:
    """How keypoints are written as heatmaps and read back.

    Attributes:
      input_size: (height, width) of the crop.
      sigma: of the target Gaussian, in heatmap pixels.
      decoder: "dark" (Zhang et al. 2020), "quarter" (a quarter pixel towards the higher neighbour) or "argmax".
      blur_kernel, blur_sigma: of DARK's blur, in heatmap pixels.
      convention: of the crop transform, "unbiased" or "hrnet" (see `geometry.crop_transform`).
    """

    input_size: tuple[int, int]
    sigma: float = 2.0
    decoder: str = "dark"
    blur_kernel: int = 11
    blur_sigma: float = 2.0
    convention: str = "unbiased"

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """(h, w) of a heatmap."""
        return self.input_size[0] // STRIDE, self.input_size[1] // STRIDE

    def to_heatmap(self, points: jax.Array) -> jax.Array:
        """Input pixels → heatmap pixels, [..., 2]: the factor of the widths, about the centres, as the crop has it."""
        factor, input_centre, centre = self._map
        return (points - input_centre) * factor + centre

    def to_input(self, points: jax.Array) -> jax.Array:
        """Heatmap pixels → input pixels, [..., 2]."""
        factor, input_centre, centre = self._map
        return (points - centre) / factor + input_centre

    @property
    def _map(self) -> tuple[float, np.ndarray, np.ndarray]:
        border = 0 if self.convention == "hrnet" else 1
        size = np.array(self.input_size[::-1], np.float32) - border
        heatmap_size = np.array(self.heatmap_size[::-1], np.float32) - border
        return heatmap_size[0] / size[0], size / 2, heatmap_size / 2

    def encode(self, keypoints: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Untruncated Gaussians at the float positions (AggPose §4.1; unbiased as in DARK).

        Args:
          keypoints: [B, K, 2] in input pixels.
          weight: [B, K], 0 for unlabelled points.
        Returns:
          Targets [B, h, w, K] and weights [B, K], both 0 for points whose Gaussian cannot be seen.
        """
        h, w = self.heatmap_size
        x, y = jnp.moveaxis(self.to_heatmap(keypoints), -1, 0)
        low, margin = -3 * self.sigma - 2, 3 * self.sigma
        seen = (x > low) & (x < w + margin) & (y > low) & (y < h + margin)
        weight = weight * seen
        gaussian_x = jnp.exp(-((jnp.arange(w) - x[..., None]) ** 2) / (2 * self.sigma**2))
        gaussian_y = jnp.exp(-((jnp.arange(h) - y[..., None]) ** 2) / (2 * self.sigma**2))
        visible = (weight > 0).astype(gaussian_x.dtype)
        return jnp.einsum("bky,bkx,bk->byxk", gaussian_y, gaussian_x, visible), weight

    def decode(self, heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Positions [B, K, 2] in input pixels and scores [B, K], the maxima, of heatmaps [B, h, w, K].

        A heatmap without a positive value is at (0, 0) of the heatmap.
        """
        peaks, scores = argmax(heatmaps)
        if self.decoder == "dark":
            peaks = peaks + _dark_offset(heatmaps, peaks, scores, self.blur_kernel, self.blur_sigma)
        elif self.decoder == "quarter":
            peaks = peaks + _quarter_offset(heatmaps, peaks)
        return self.to_input(peaks), scores


def argmax(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whole-pixel maxima: heatmaps [B, h, w, K] → positions (x, y) [B, K, 2] as int32, and values [B, K]."""
    b, h, w, k = heatmaps.shape
    flat = heatmaps.reshape(b, h * w, k)
    index, scores = jnp.argmax(flat, axis=1), jnp.max(flat, axis=1)
    peaks = jnp.stack([index % w, index // w], axis=-1).astype(jnp.int32)
    return jnp.where(scores[..., None] > 0, peaks, 0), scores


def flip_back(heatmaps: jax.Array, permutation: np.ndarray) -> jax.Array:
    """Heatmaps [B, h, w, K] of mirrored crops as those of the crops: mirrored, with left and right exchanged."""
    return heatmaps[:, :, ::-1, permutation]


def _windows(maps, peaks, radius):
    """[B, K, 2r+1, 2r+1] values around each peak; 0 outside the map."""
    padded = jnp.pad(maps, ((0, 0), (radius, radius), (radius, radius), (0, 0)))
    size = 2 * radius + 1

    def window(plane, peak):  # vmap keeps a batch on several devices local, where an index array would gather it
        return lax.dynamic_slice(plane, (peak[1], peak[0]), (size, size))

    return jax.vmap(jax.vmap(window, in_axes=(2, 0)))(padded, peaks)


def _inside(peaks, size, margin):
    """[B, K] bool: the peak is at least `margin` pixels from the border."""
    h, w = size
    x, y = peaks[..., 0], peaks[..., 1]
    return (x >= margin) & (x <= w - 1 - margin) & (y >= margin) & (y <= h - 1 - margin)


def _quarter_offset(heatmaps, peaks):
    f = _windows(heatmaps, peaks, 1)
    toward = jnp.stack([f[..., 1, 2] - f[..., 1, 0], f[..., 2, 1] - f[..., 0, 1]], axis=-1)
    inside = _inside(peaks, heatmaps.shape[1:3], 2)
    return jnp.where(inside[..., None], 0.25 * jnp.sign(toward), 0.0)


def blur_matrix(size: int, kernel: int, sigma: float) -> np.ndarray:
    """[size, size] matrix whose product with a signal is its Gaussian blur, zero outside the signal."""
    offset = np.arange(size)[:, None] - np.arange(size)
    taps = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / (2 * sigma**2))
    weight = np.exp(-(offset**2) / (2 * sigma**2)) / taps.sum()
    return np.where(np.abs(offset) <= kernel // 2, weight, 0.0).astype(np.float32)


def _dark_offset(heatmaps, peaks, scores, kernel, sigma):
    """One Newton step on the log of the blurred heatmap, from its second-order Taylor expansion (DARK Eq. 6–8)."""
    h, w = heatmaps.shape[1:3]
    blurred = jnp.einsum(
        "yh,bhwk,xw->byxk",
        blur_matrix(h, kernel, sigma),
        heatmaps,
        blur_matrix(w, kernel, sigma),
        precision=lax.Precision.HIGHEST,
    )
    rescale = scores / jnp.maximum(blurred.max((1, 2)), LOG_FLOOR)
    f = jnp.log(jnp.maximum(_windows(blurred, peaks, 2) * rescale[..., None, None], LOG_FLOOR))
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
