"""Tests of the estimator with networks whose heatmaps can be computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.estimation import estimator
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.protocol import Protocol

PAIR = KeypointSet("pair", ("left", "right", "middle"), ((0, 1),), (), (0.1,) * 3, (0,))
IDENTITY = np.eye(2, 3, dtype=np.float32)[None]


def brightness(scale, image):
    """A network whose heatmaps are the red, green and blue values 0…255 of every fourth pixel, times `scale`."""
    rgb = (image * estimator.IMAGENET_STD + estimator.IMAGENET_MEAN) * 255
    return scale * rgb[:, ::4, ::4]


def position_blind(variables, image):
    """A network that returns its variables as the heatmaps of every image."""
    return jnp.broadcast_to(variables, (image.shape[0], *variables.shape))


def dots(*points) -> np.ndarray:
    """Returns a black crop [1, 64, 64, 3] with one 4 × 4 square per channel.

    Args:
      points: x and y in heatmap pixels and the value of the square, for each channel.
    """
    image = np.zeros((1, 64, 64, 3), np.uint8)
    for channel, (x, y, value) in enumerate(points):
        image[0, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4, channel] = value
    return image


def test_normalise_uses_the_imagenet_mean_and_standard_deviation():
    grey = jnp.full((1, 1, 3), 128, jnp.uint8)
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(estimator.normalise(estimator.to_unit(grey))[0, 0], expected, rtol=1e-5)
    assert estimator.to_unit(jnp.uint8([0, 255])).tolist() == [0, 1]


def test_heatmaps_without_flip_test_are_the_output_of_the_network():
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    heatmaps = estimator.estimate_heatmaps(brightness, 1.0, image, PAIR, flip_test=False)
    np.testing.assert_allclose(heatmaps, image[:, ::4, ::4], atol=1e-3)


def test_flip_test_averages_with_flipped_back_heatmaps():
    heatmaps = np.arange(12, dtype=np.float32).reshape(1, 4, 3)  # one row, four columns
    mean = estimator.estimate_heatmaps(position_blind, heatmaps, np.zeros((1, 4, 16, 3), np.uint8), PAIR, True)
    left, right, middle = np.moveaxis(heatmaps[0], -1, 0)
    expected = np.stack([(left + right[::-1]) / 2, (right + left[::-1]) / 2, (middle + middle[::-1]) / 2], axis=-1)
    np.testing.assert_allclose(mean[0, 0], expected)


def test_heatmaps_of_the_mirrored_crop_are_shifted_if_the_protocol_states_it():
    heatmaps = np.arange(12, dtype=np.float32).reshape(1, 4, 3)  # one row, four columns
    image = np.zeros((1, 4, 16, 3), np.uint8)
    mean = estimator.estimate_heatmaps(position_blind, heatmaps, image, PAIR, True, Protocol(shifted_flip=True))
    left, right, _ = np.moveaxis(heatmaps[0], -1, 0)
    np.testing.assert_allclose(mean[0, 0, :, 0], (left + right[[3, 3, 2, 1]]) / 2)


def test_channels_are_reversed_before_the_normalisation_of_a_bgr_protocol():
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    crop = estimator.estimate_heatmaps(lambda _, x: x, None, image, PAIR, False, Protocol(bgr=True))
    expected = (image[0, 2, 1, ::-1] / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(crop[0, 2, 1], expected, rtol=1e-4, atol=1e-5)


def test_flip_test_applies_the_network_to_the_mirrored_crop():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    inputs = []

    def record_input(variables, image):
        inputs.append(np.asarray(image))
        return jnp.zeros((2, 4, 6, 3))

    estimator.estimate_heatmaps(record_input, None, image, PAIR, flip_test=True)
    crop, mirrored = inputs[0]
    np.testing.assert_array_equal(mirrored, crop[:, ::-1])
    assert not np.array_equal(mirrored, crop)


def test_identity_transform_gives_keypoints_in_crop_pixels():
    codec = Codec((64, 64), decoder="argmax")
    estimate = estimator.make_estimator(brightness, codec, PAIR, flip_test=False)
    keypoints, heatmaps = estimate(1 / 255, dots((3, 5, 255), (15, 0, 51), (8, 8, 0)), IDENTITY)
    assert keypoints.shape == (1, 3, 3)
    np.testing.assert_allclose(heatmaps[0, [5, 0], [3, 15], [0, 1]], [1, 0.2], atol=1e-5)
    # A heatmap pixel is 63 / 15 crop pixels, because the corner pixels coincide.
    expected = [[12.6, 21, 1], [63, 0, 0.2], [0, 0, 0]]
    np.testing.assert_allclose(keypoints[0], expected, atol=1e-4)


@pytest.mark.parametrize("flip_test", [False, True])
def test_each_crop_is_transformed_back_by_its_own_transform(flip_test):
    codec = Codec((64, 64), decoder="argmax")
    estimate = estimator.make_estimator(position_blind, codec, PAIR, flip_test)
    heatmaps = np.zeros((16, 16, 3), np.float32)
    heatmaps[5, 3], heatmaps[5, 12] = (1, 0, 0), (0, 1, 0)  # the mirror images of each other
    heatmaps[0, 0, 2] = 1
    to_image = np.array([[[2, 0.5, 100], [-1, 3, -7]], [[0, 1, 0], [1, 0, 0.5]]], np.float32)
    keypoints = np.asarray(estimate(heatmaps, np.zeros((2, 64, 64, 3), np.uint8), to_image)[0])
    x, y = 12.6, 21.0
    np.testing.assert_allclose(keypoints[0, 0, :2], [2 * x + 0.5 * y + 100, -x + 3 * y - 7], rtol=1e-5)
    np.testing.assert_allclose(keypoints[1, 0, :2], [y, x + 0.5], rtol=1e-5)
    np.testing.assert_allclose(keypoints[0, 1, :2], [2 * (63 - x) + 0.5 * y + 100, -(63 - x) + 3 * y - 7], rtol=1e-5)
    np.testing.assert_allclose(keypoints[0, 2, :2], [100, -7], atol=1e-3)
    np.testing.assert_allclose(keypoints[..., 2], [[1, 1, 0.5 if flip_test else 1]] * 2)


def test_image_coordinates_are_computed_without_a_matrix_product():
    codec = Codec((64, 64), decoder="argmax")
    estimate = estimator.make_estimator(position_blind, codec, PAIR, flip_test=False)
    arguments = np.zeros((16, 16, 3), np.float32), np.zeros((1, 64, 64, 3), np.uint8), IDENTITY
    assert "dot_general" not in str(estimate.trace(*arguments).jaxpr)
