"""Tests of reconstruction errors, baselines and image grids with values computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.estimation import reconstruction
from aggpose_jax.estimation.estimator import normalise
from aggpose_jax.networks.mae import normalise_patches
from aggpose_jax.networks.mask_patches import split_patches

COLOURS = np.array([[0.0, 0.2, 0.4], [0.5, 0.5, 0.5], [1.0, 0.6, 0.0], [0.3, 0.3, 0.9]], np.float32)  # of four patches
PATCHES = np.broadcast_to(COLOURS[:, None], (4, 1024, 3)).reshape(1, 4, -1)
VISIBLE = jnp.array([[0, 2]])


def colours(patches) -> np.ndarray:
    return np.asarray(patches).reshape(4, 1024, 3)


def test_visible_mean_fills_all_patches_with_the_mean_colour():
    found = colours(reconstruction.visible_mean(PATCHES, VISIBLE))
    np.testing.assert_allclose(found, np.broadcast_to([0.5, 0.4, 0.2], found.shape), rtol=1e-6)


def test_interpolation_weights_visible_patches_by_distance_and_ignores_masked_ones():
    found = colours(reconstruction.interpolated(PATCHES, VISIBLE, columns=4)).reshape(4, 32, 32, 3)
    weight = np.array([(1.5 - 0.5) ** -3, (2.5 - 1.5) ** -3])  # of a pixel at the centre of patch 1: equal weights
    between = (found[1, 15, 15] + found[1, 16, 16]) / 2
    np.testing.assert_allclose(between, (weight @ COLOURS[[0, 2]]) / weight.sum(), atol=1e-3)
    distances = np.array([3.0, 1.0])  # from the centre of patch 3
    expected = distances**-3.0 @ COLOURS[[0, 2]] / (distances**-3.0).sum()
    np.testing.assert_allclose(found[3, 15:17, 15:17].mean((0, 1)), expected, atol=5e-3)
    changed = PATCHES.copy()
    changed[0, [1, 3]] = 9
    np.testing.assert_array_equal(found.reshape(4, -1), reconstruction.interpolated(changed, VISIBLE, columns=4)[0])


def test_masked_error_counts_masked_patches_only_in_8_bit_levels():
    predicted = PATCHES + np.array([9, 0.1, 9, 0.2], np.float32)[:, None]
    error = reconstruction.masked_error(predicted, PATCHES, VISIBLE)
    np.testing.assert_allclose(error, [255**2 * (0.01 + 0.04) / 2], rtol=1e-4)


@pytest.mark.parametrize("side", [16, 32])
def test_interpolation_at_the_centre_of_the_only_visible_patch_and_elsewhere_is_its_colour(side):
    image = np.random.default_rng(0).random((1, 64, 32, 3)).astype(np.float32)
    truth = split_patches(image, side).reshape(1, -1, side * side * 3)
    found = reconstruction.interpolated(truth, jnp.array([[1]]), columns=32 // side)
    colour = truth[0, 1].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(found.reshape(-1, 3), np.broadcast_to(colour, (64 * 32, 3)), rtol=1e-4)


def test_small_patches_are_shuffled_and_drawn():
    images = np.repeat(np.arange(4), 16)[None, None, :, None] * np.ones((1, 16, 1, 3))
    moved = reconstruction.shuffled(jnp.asarray(images), jnp.array([[0, 2, 3]]), 16)
    np.testing.assert_array_equal(moved[0, 0, ::16, 0], [3, 1, 0, 2])
    grid = reconstruction.image_grid(np.full((1, 32, 64, 3), 200, np.uint8), None, np.array([[1]]), 16)
    assert (grid == 128).all(-1).sum() == 7 * 16 * 16


def test_shuffling_moves_visible_patches_and_no_masked_ones():
    images = np.repeat(np.arange(4), 32)[None, None, :, None] * np.ones((1, 32, 1, 3))
    moved = reconstruction.shuffled(jnp.asarray(images), jnp.array([[0, 2, 3]]))
    np.testing.assert_array_equal(moved[0, 0, ::32, 0], [3, 1, 0, 2])


@pytest.mark.parametrize("normalised", [False, True])
def test_perfect_predictions_are_converted_to_the_true_pixels(normalised):
    truth = np.random.default_rng(0).random((2, 32, 64, 3)).astype(np.float32)
    images = normalise(truth)
    predicted = split_patches(images).reshape(2, 2, -1)
    if normalised:
        predicted = normalise_patches(predicted)[0]
    found = reconstruction.to_pixels(predicted, images, normalised)
    np.testing.assert_allclose(found, split_patches(truth).reshape(2, 2, -1), atol=1e-5)


def test_image_grid_contains_original_masked_input_and_prediction():
    image = np.full((1, 32, 64, 3), 200, np.uint8)
    predicted = np.full((1, 2, 3072), 0.2, np.float32)
    grid = reconstruction.image_grid(image, predicted, np.array([[1]]))
    levels = {int(level) for level in np.unique(grid)}
    assert {200, 128, 51} <= levels  # the image, the grey of masked patches, and the prediction
    assert (grid == 128).all(-1).sum() == 32 * 32
    assert (grid == 51).all(-1).sum() == 32 * 32


def test_image_grid_shows_what_is_predicted_if_it_is_another_image():
    image = np.full((1, 32, 64, 3), 200, np.uint8)
    grid = reconstruction.image_grid(image, np.full((1, 2, 3072), 0.2), np.array([[1]]), 32, image - 100)
    counts = [(grid == level).all(-1).sum() // 1024 for level in (100, 200, 128, 51)]
    assert counts == [2, 2, 1, 1]  # the original; the visible patch twice; the masked one; its prediction


def test_image_grid_without_predictions_has_two_columns():
    image = np.full((1, 32, 64, 3), 200, np.uint8)
    grid = reconstruction.image_grid(image, None, np.array([[1]]))
    assert (grid == 200).all(-1).sum() == 3 * 32 * 32  # the two patches of the image, and the visible patch
    assert (grid == 128).all(-1).sum() == 32 * 32
