"""Reconstructions of masked images: the error of predicted mask patches, baselines without a network, and image grids.

Mask patches are [B, U, s·s·3]: U patches of s×s pixels per image; s is the argument `side`. The argument `visible`
[B, V] holds the indices of the V visible ones. Errors are in squared 8-bit levels.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.estimation.estimator import IMAGENET_MEAN, IMAGENET_STD
from aggpose_jax.networks.mae import mask_of, normalise_patches
from aggpose_jax.networks.mask_patches import PATCH, gather, join_patches, split_patches
from aggpose_jax.pose.draw import image_grid as arrange_grid

GREY = 0.5  # level, 0…1, of masked patches in image grids
GRID_IMAGES = 8  # largest number of images whose reconstructions an image grid shows
# Power of the distance in the weights of `interpolated`: the best of 1, 1.5, 2, 3, 4 and 6 on synthetic frames.
DISTANCE_POWER = 3.0


def to_pixels(predicted: jax.Array, images: jax.Array, normalised: bool, side: int = PATCH) -> jax.Array:
    """Converts the predictions of a network to pixels with values 0…1.

    If the network predicts pixels that are normalised per patch, its predictions have no mean and standard deviation of
    their own. Those of the true patch are used instead. Therefore only the errors of networks that do not normalise per
    patch can be compared with the errors of an interpolation.

    Args:
      predicted: [B, U, s·s·3].
      images: network inputs [B, H, W, 3].
      normalised: the predictions are normalised per patch.
      side: side of a patch in pixels.
    """
    if normalised:
        _, mean, deviation = normalise_patches(split_patches(images, side).reshape(predicted.shape))
        predicted = predicted * deviation + mean
    b, count, _ = predicted.shape
    return (predicted.reshape(b, count, -1, 3) * IMAGENET_STD + IMAGENET_MEAN).reshape(predicted.shape)


def masked_error(predicted: jax.Array, truth: jax.Array, visible: jax.Array) -> jax.Array:
    """Returns the mean squared error [B] over the masked patches of pixels 0…1, in squared 8-bit levels."""
    masked = mask_of(visible, truth.shape[1])
    return 255.0**2 * (jnp.square(predicted - truth).mean(-1) * masked).sum(1) / masked.sum(1)


def visible_mean(truth: jax.Array, visible: jax.Array) -> jax.Array:
    """Returns patches filled with one colour per image: the mean of all its visible pixels."""
    b, _, size = truth.shape
    colour = gather(truth, visible).reshape(b, -1, 3).mean(1)
    return jnp.broadcast_to(jnp.tile(colour[:, None], (1, 1, size // 3)), truth.shape)


def interpolated(truth: jax.Array, visible: jax.Array, columns: int) -> jax.Array:
    """Returns patches interpolated from the mean colours of the visible patches (Shepard 1968).

    Every pixel is a mean of these colours weighted by 1 / distance^DISTANCE_POWER, where the distance is from the pixel
    to the centre of the visible patch.

    Args:
      truth: [B, U, s·s·3].
      visible: [B, V].
      columns: number of patches in a row of the image.
    """
    b, count, size = truth.shape
    side = math.isqrt(size // 3)
    is_visible = 1 - mask_of(visible, count)
    colours = truth.reshape(b, count, -1, 3).mean(2) * is_visible[..., None]
    corner = np.stack(np.divmod(np.arange(count), columns), axis=-1).astype(np.float32)
    inside = ((np.stack(np.divmod(np.arange(side * side), side), axis=-1) + 0.5) / side).astype(np.float32)

    def fill(place):  # of one patch at a time, because the weights of all patches would take gigabytes
        # Squared distances in patches, [pixels, U].
        squared = jnp.square(place + inside[:, None] - corner - 0.5).sum(-1)
        weight = jnp.maximum(squared, 1e-6) ** (-DISTANCE_POWER / 2)
        return (weight @ colours) / (weight @ is_visible[..., None])

    filled = jax.lax.map(fill, jnp.asarray(corner))  # [U, B, pixels, 3]
    return filled.swapaxes(0, 1).reshape(truth.shape)


def shuffled(images: jax.Array, visible: jax.Array, side: int = PATCH) -> jax.Array:
    """Returns images whose visible patches are permuted cyclically: each moves to the position of the next one."""
    patches = split_patches(images, side)
    return join_patches(
        _replaced(patches, visible, jnp.roll(gather(patches, visible), 1, axis=1)), images.shape[1] // side
    )


@jax.vmap
def _replaced(patches: jax.Array, visible: np.ndarray | jax.Array, new: jax.Array) -> jax.Array:
    return patches.at[visible].set(new)


def image_grid(
    image: np.ndarray,
    predicted: np.ndarray | None,
    visible: np.ndarray,
    side: int = PATCH,
    original: np.ndarray | None = None,
) -> np.ndarray:
    """Draws originals | masked inputs | reconstructions, two images in each row, as RGB uint8 [H, W, 3].

    Args:
      image: uint8 [B, H, W, 3], of which at most 8 are drawn.
      predicted: pixels 0…1 as [B, U, s·s·3]; None draws no reconstructions.
      visible: [B, V].
      side: side of a patch in pixels.
      original: uint8 [B, H, W, 3], which `predicted` predicts; None if it is `image`.
    """
    original = (image if original is None else original)[:GRID_IMAGES]
    image, visible = image[:GRID_IMAGES], visible[:GRID_IMAGES]
    rows = image.shape[1] // side
    originals, patches = (split_patches(jnp.asarray(array) / 255, side) for array in (original, image))
    visible_patches = gather(patches, visible)
    backgrounds = [jnp.full(patches.shape, GREY)]
    if predicted is not None:
        backgrounds.append(jnp.clip(jnp.asarray(predicted[:GRID_IMAGES]), 0, 1).reshape(patches.shape))
    columns = [originals, *(_replaced(background, visible, visible_patches) for background in backgrounds)]
    tiles = [np.asarray(255 * join_patches(column, rows)).round().astype(np.uint8) for column in columns]
    return arrange_grid([tile for row in zip(*tiles, strict=True) for tile in row], 2 * len(columns))
