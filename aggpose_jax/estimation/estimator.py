"""A network and crops → keypoints in the image: the one path that training, evaluation and prediction share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.pose.codec import Codec, flip_back
from aggpose_jax.pose.keypoints import KeypointSet

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

Apply = Callable[[Any, jax.Array], jax.Array]


def to_unit(image: jax.Array) -> jax.Array:
    """RGB uint8 0…255 → float32 0…1."""
    return image.astype(jnp.float32) / 255


def normalise(image: jax.Array) -> jax.Array:
    """RGB 0…1 [..., 3] → what the networks take."""
    return (image - IMAGENET_MEAN) / IMAGENET_STD


def estimate_heatmaps(
    apply: Apply, variables: Any, image: jax.Array, keypoint_set: KeypointSet, flip_test: bool
) -> jax.Array:
    """Heatmaps [B, h, w, K] of crops [B, H, W, 3] uint8; with `flip_test` the mean with the mirrored crops'."""
    image = normalise(to_unit(image))
    if not flip_test:
        return apply(variables, image)
    b, *shape = image.shape
    # Each crop beside its mirror image: one pass, and a batch on several devices stays where it is.
    both = jnp.stack([image, image[:, :, ::-1]], axis=1).reshape(2 * b, *shape)
    heatmaps = apply(variables, both)
    heatmaps = heatmaps.reshape(b, 2, *heatmaps.shape[1:])
    return (heatmaps[:, 0] + flip_back(heatmaps[:, 1], keypoint_set.flip_permutation)) / 2


def make_estimator(
    apply: Apply, codec: Codec, keypoint_set: KeypointSet, flip_test: bool
) -> Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Returns the jitted estimate(variables, image, to_image) → keypoints, heatmaps.

    `image` is [B, H, W, 3] uint8, `to_image` [B, 2, 3] maps crop pixels to image pixels; the keypoints are
    [B, K, 3]: x and y in image pixels, and the score; the heatmaps they were read from are [B, h, w, K].
    """

    def estimate(variables, image, to_image):
        heatmaps = estimate_heatmaps(apply, variables, image, keypoint_set, flip_test)
        points, scores = codec.decode(heatmaps)
        linear, shift = to_image[:, None, :, :2], to_image[:, None, :, 2]
        # Written out, since a product of two-by-two matrices would lose digits to a fast matrix unit.
        points = (linear * points[:, :, None, :]).sum(-1) + shift
        return jnp.concatenate([points, scores[..., None]], axis=-1), heatmaps

    return jax.jit(estimate)
