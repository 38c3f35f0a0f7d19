"""Masked units predicted, beside what needs no network: how far each is from the pixels, and pictures of it.

Units are [B, U, 32·32·3], the kept ones [B, V] of them. Errors are in squared 8-bit levels.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.estimation.estimator import IMAGENET_MEAN, IMAGENET_STD
from aggpose_jax.networks.mae import mask_of, normalise_patches
from aggpose_jax.networks.mask_patches import PATCH, gather, join_patches, split_patches
from aggpose_jax.pose.draw import image_grid

GREY = 0.5  # of masked units in pictures
PICTURES = 8
DISTANCE_POWER = 3.0  # of the interpolation: of 1, 1.5, 2, 3, 4 and 6 the best on synthetic frames


def to_pixels(predicted: jax.Array, images: jax.Array, normalised: bool) -> jax.Array:
    """What a network predicts, as pixels 0…1.

    Where it predicts pixels normalised per unit, its unit has no mean and deviation of its own: they are given, taken
    from the true unit. So only errors of networks that do not normalise compare with those of an interpolation.

    Args:
      predicted: [B, U, 32·32·3].
      images: [B, H, W, 3] as the network gets them.
      normalised: what it predicts is normalised per unit.
    """
    if normalised:
        _, mean, deviation = normalise_patches(split_patches(images).reshape(predicted.shape))
        predicted = predicted * deviation + mean
    b, count, _ = predicted.shape
    return (predicted.reshape(b, count, -1, 3) * IMAGENET_STD + IMAGENET_MEAN).reshape(predicted.shape)


def masked_error(predicted: jax.Array, truth: jax.Array, kept: jax.Array) -> jax.Array:
    """[B]: mean squared error of the pixels 0…1 of masked units, in squared 8-bit levels."""
    masked = mask_of(kept, truth.shape[1])
    return 255.0**2 * (jnp.square(predicted - truth).mean(-1) * masked).sum(1) / masked.sum(1)


def visible_mean(truth: jax.Array, kept: jax.Array) -> jax.Array:
    """Units of one colour: the mean of all visible pixels of their image."""
    b, _, size = truth.shape
    colour = gather(truth, kept).reshape(b, -1, 3).mean(1)
    return jnp.broadcast_to(jnp.tile(colour[:, None], (1, 1, size // 3)), truth.shape)


def interpolated(truth: jax.Array, kept: jax.Array, columns: int) -> jax.Array:
    """Units whose every pixel is a mean of the colours of all visible units, weighted by 1 / distance^power.

    The distance is that from the pixel to the middle of a unit (Shepard 1968).
    """
    b, count, _ = truth.shape
    visible = 1 - mask_of(kept, count)
    colours = truth.reshape(b, count, -1, 3).mean(2) * visible[..., None]
    corner = np.stack(np.divmod(np.arange(count), columns), axis=-1).astype(np.float32)
    inside = ((np.stack(np.divmod(np.arange(PATCH * PATCH), PATCH), axis=-1) + 0.5) / PATCH).astype(np.float32)

    def fill(place):  # one unit at a time: the weights of all would be gigabytes
        squared = jnp.square(place + inside[:, None] - corner - 0.5).sum(-1)  # [pixels, U]
        weight = jnp.maximum(squared, 1e-6) ** (-DISTANCE_POWER / 2)
        return (weight @ colours) / (weight @ visible[..., None])

    filled = jax.lax.map(fill, jnp.asarray(corner))  # [U, B, pixels, 3]
    return filled.swapaxes(0, 1).reshape(truth.shape)


def shuffled(images: jax.Array, kept: jax.Array) -> jax.Array:
    """Images whose visible units have changed places among themselves: each lies where the next one was."""
    units = split_patches(images)
    return join_patches(_replaced(units, kept, jnp.roll(gather(units, kept), 1, axis=1)), images.shape[1] // PATCH)


@jax.vmap
def _replaced(units: jax.Array, kept: jax.Array, new: jax.Array) -> jax.Array:
    return units.at[kept].set(new)


def sheet(image: np.ndarray, predicted: np.ndarray | None, kept: np.ndarray) -> np.ndarray:
    """Originals | masked inputs | reconstructions, two images a row, as RGB uint8 [H, W, 3].

    Args:
      image: uint8 [B, H, W, 3]; at most 8 are shown.
      predicted: [B, U, 32·32·3] pixels 0…1; None leaves the reconstructions out.
      kept: [B, V].
    """
    image, kept = image[:PICTURES], kept[:PICTURES]
    rows = image.shape[1] // PATCH
    units = split_patches(jnp.asarray(image) / 255)
    visible = gather(units, kept)
    backgrounds = [jnp.full(units.shape, GREY)]
    if predicted is not None:
        backgrounds.append(jnp.clip(jnp.asarray(predicted[:PICTURES]), 0, 1).reshape(units.shape))
    pictures = [units, *(_replaced(background, kept, visible) for background in backgrounds)]
    pictures = [np.asarray(255 * join_patches(one, rows)).round().astype(np.uint8) for one in pictures]
    return image_grid([picture for row in zip(*pictures, strict=True) for picture in row], 2 * len(pictures))
