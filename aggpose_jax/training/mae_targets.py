"""What a masked autoencoder predicts for a masked patch: its pixels, or the heatmaps of a teacher there."""

import math
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import ml_collections

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import reconstruction
from aggpose_jax.estimation.estimator import normalise
from aggpose_jax.networks.mae import masked_mse, pixel_targets
from aggpose_jax.networks.mask_patches import split_patches
from aggpose_jax.training.mae_teacher import Teacher, read_teacher

HEATMAP_STRIDE = 4  # pixels of a crop in a pixel of its heatmaps, along each side
# Predicts D values of every patch, [B, U, D], from normalised images [B, H, W, 3] and the indices of visible patches.
Predict = Callable[[jax.Array, jax.Array], jax.Array]


class Target(Protocol):
    """The target of the predictions of a masked autoencoder.

    Attributes:
      metrics: names of the M metrics of an evaluation.
      heatmaps: number of heatmaps that the network predicts; 0 if it predicts pixels.
    """

    metrics: tuple[str, ...]
    heatmaps: int

    def __call__(self, images: jax.Array) -> jax.Array:
        """Returns the targets [B, U, D] of all patches of RGB images 0…1 [B, H, W, 3]."""

    def score(
        self, predict: Predict, images: jax.Array, later: jax.Array, visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the metrics [B, M] of the predictions for images, and these predictions [B, U, D], pixels as 0…1.

        Args:
          predict: the network.
          images: RGB images 0…1 [B, H, W, 3], whose visible patches the network sees.
          later: the images whose masked patches it predicts, the same ones without a temporal target.
          visible: [B, V] indices of the visible patches.
        """


def make_target(config: ml_collections.ConfigDict) -> Target:
    """Returns the target that a configuration names.

    Raises:
      UserError: a teacher is missing, has no use, or does not fit.
    """
    side = config.model.mask_patch
    if config.target == "pixels":
        if config.teacher:
            raise UserError(
                f"teacher: {config.teacher} has no use with target=pixels; set target=heatmaps, or no teacher"
            )
        return PixelTarget(side, config.normalise_pixels)
    if not config.teacher:
        raise UserError(
            "teacher: none is given, but target=heatmaps needs one; give pretrained, a run or a weight file"
        )
    return HeatmapTarget(side, read_teacher(config), tuple(config.input_size))


def loss_of_each(predicted: jax.Array, targets: jax.Array, visible: jax.Array) -> jax.Array:
    """Returns the loss [B] of each image; see `masked_mse`."""
    return jax.vmap(lambda *one: masked_mse(*(array[None] for array in one)))(predicted, targets, visible)


class PixelTarget:
    """The pixels of a patch, normalised by ImageNet's mean and standard deviation, or by those of the patch.

    The metrics are "loss" as in training, and mean squared errors of masked pixels in squared 8-bit levels: "error" of
    the network; "mean" and "interp." of two baselines, the mean of the visible pixels and an interpolation of the
    visible patches; "shuffled" of the network after the visible patches have exchanged places.

    Args:
      side: side of a patch in pixels.
      normalised: pixels are normalised by the mean and the standard deviation of their patch.
    """

    metrics: tuple[str, ...] = ("loss", "error", "mean", "interp.", "shuffled")
    heatmaps = 0

    def __init__(self, side: int, normalised: bool):
        self._side, self._normalised = side, normalised

    def __call__(self, images: jax.Array) -> jax.Array:
        return pixel_targets(normalise(images), self._normalised, self._side)

    def score(
        self, predict: Predict, images: jax.Array, later: jax.Array, visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        side = self._side

        def to_pixels(predicted):
            return reconstruction.to_pixels(predicted, normalise(later), self._normalised, side)

        predicted = predict(normalise(images), visible)
        shuffled = predict(reconstruction.shuffled(normalise(images), visible, side), visible)
        truth, seen = (split_patches(x, side).reshape(predicted.shape) for x in (later, images))
        candidates = (
            to_pixels(predicted),
            reconstruction.visible_mean(seen, visible),
            reconstruction.interpolated(seen, visible, images.shape[2] // side),
            to_pixels(shuffled),
        )
        errors = [reconstruction.masked_error(candidate, truth, visible) for candidate in candidates]
        loss = loss_of_each(predicted, self(later), visible)
        return jnp.stack([loss, *errors], axis=1), candidates[0]


class HeatmapTarget:
    """The heatmaps of a teacher in a patch, (s/4)²·K values, computed from the complete image.

    They are divided by the root mean square of heatmaps in which every keypoint has one Gaussian of height 1, so that
    the loss of predicting 0 is about 1 if the teacher is sure of everything. Unscaled it would be about .005, and a
    standard deviation measured in each image would enlarge the noise where the teacher sees no one.

    The metrics are "loss" as in training, and the same error of two baselines: "zeros", no keypoint anywhere, and
    "shuffled", the network after the visible patches have exchanged places.

    Args:
      side: side s of a patch in pixels.
      teacher: network with K keypoints.
      size: (height, width) of the images.
    """

    metrics: tuple[str, ...] = ("loss", "zeros", "shuffled")

    def __init__(self, side: int, teacher: Teacher, size: tuple[int, int]):
        self._side, self._teacher, self.heatmaps = side, teacher, teacher.keypoints
        # The integral of a squared Gaussian of height 1 and standard deviation σ is πσ².
        self._scale = math.sqrt(math.pi * teacher.sigma**2 / (size[0] * size[1] / HEATMAP_STRIDE**2))

    def __call__(self, images: jax.Array) -> jax.Array:
        patches = split_patches(self._teacher.heatmaps(images), self._side // HEATMAP_STRIDE)
        return patches.reshape(*patches.shape[:2], -1) / self._scale

    def score(
        self, predict: Predict, images: jax.Array, later: jax.Array, visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        targets, images = self(later), normalise(images)
        predicted = predict(images, visible)
        shuffled = predict(reconstruction.shuffled(images, visible, self._side), visible)
        candidates = (predicted, jnp.zeros_like(targets), shuffled)
        losses = [loss_of_each(candidate, targets, visible) for candidate in candidates]
        return jnp.stack(losses, axis=1), predicted
