"""Estimates keypoints in image coordinates from crops; training, evaluation and prediction share this code path."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.networks import barriers
from aggpose_jax.pose.codec import Codec, flip_back
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.protocol import AGGPOSE, Protocol

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

Apply = Callable[[Any, jax.Array], jax.Array]
# (variables, image, to_image) → keypoints, heatmaps; see `make_estimator`.
Estimator = Callable[[Any, np.ndarray | jax.Array, np.ndarray | jax.Array], tuple[jax.Array, jax.Array]]


def to_unit(image: jax.Array) -> jax.Array:
    """Converts a uint8 image with values 0…255 to float32 with values 0…1."""
    return image.astype(jnp.float32) / 255


def normalise(image: jax.Array, bgr: bool = False) -> jax.Array:
    """Normalises an RGB image [..., 3] with values 0…1 by ImageNet's mean and standard deviation, for the networks.

    With `bgr`, the order of the channels is reversed before, see `Protocol.bgr`.
    """
    return ((image[..., ::-1] if bgr else image) - IMAGENET_MEAN) / IMAGENET_STD


def estimate_heatmaps(
    apply: Apply,
    variables: Any,
    image: jax.Array,
    keypoint_set: KeypointSet,
    flip_test: bool,
    protocol: Protocol = AGGPOSE,
) -> jax.Array:
    """Returns the heatmaps [B, h, w, K] of crops uint8 [B, H, W, 3].

    With `flip_test`, they are the mean of the heatmaps of each crop and the flipped-back heatmaps of its mirror image.
    """
    image = normalise(to_unit(image), protocol.bgr)
    if not flip_test:
        return apply(variables, image)
    b, *shape = image.shape
    # Each crop is placed next to its mirror image: one forward pass is enough, and the shards of a batch that is split
    # over several devices stay on their devices.
    both = jnp.stack([image, image[:, :, ::-1]], axis=1).reshape(2 * b, *shape)
    heatmaps = apply(variables, both)
    heatmaps = heatmaps.reshape(b, 2, *heatmaps.shape[1:])
    mirrored = flip_back(heatmaps[:, 1], keypoint_set.flip_permutation, protocol.shifted_flip)
    return (heatmaps[:, 0] + mirrored) / 2


def make_estimator(
    apply: Apply, codec: Codec, keypoint_set: KeypointSet, flip_test: bool, protocol: Protocol = AGGPOSE
) -> Estimator:
    """Returns the jitted function estimate(variables, image, to_image) → keypoints, heatmaps.

    `image` is [B, H, W, 3] uint8; `to_image` [B, 2, 3] holds the affine transforms from crop pixels to image pixels.
    The keypoints are [B, K, 3]: x and y in image pixels, and the score. The heatmaps [B, h, w, K] are those from which
    the keypoints were decoded. It cannot be called within another jitted function, see `barriers.jit`.
    """

    def estimate(variables, image, to_image):
        heatmaps = estimate_heatmaps(apply, variables, image, keypoint_set, flip_test, protocol)
        points, scores = codec.decode(heatmaps)
        linear, shift = to_image[:, None, :, :2], to_image[:, None, :, 2]
        # The product is written as a sum: a matrix multiplication on a TPU or a tensor core would lose precision.
        points = (linear * points[:, :, None, :]).sum(-1) + shift
        return jnp.concatenate([points, scores[..., None]], axis=-1), heatmaps

    return barriers.jit(estimate)
