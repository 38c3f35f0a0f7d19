"""Targets of masked pretraining and the metrics of their predictions, with values computed by hand."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError
from aggpose_jax.networks.mask_patches import split_patches
from aggpose_jax.training.mae_targets import HeatmapTarget, PixelTarget, make_target

SIZE, SIDE = (64, 96), 16
VISIBLE = jnp.array([[0, 7, 20]])


class Teacher:
    """Two keypoints at the centre of the crop, whose maps are Gaussians of height 1 and standard deviation `sigma`."""

    keypoints, sigma = 2, 1.5

    def heatmaps(self, images):
        y, x = np.mgrid[: SIZE[0] // 4, : SIZE[1] // 4]
        gaussian = np.exp(-((y - 7) ** 2 + (x - 12) ** 2) / (2 * self.sigma**2))
        return jnp.asarray(np.stack([gaussian, 2 * gaussian], axis=-1)[None].repeat(len(images), 0))


@pytest.fixture
def target():
    return HeatmapTarget(SIDE, Teacher(), SIZE)


def test_targets_of_a_patch_are_its_heatmaps_scaled_to_a_mean_square_of_one(target):
    found = np.asarray(target(jnp.zeros((1, *SIZE, 3))))
    assert found.shape == (1, 4 * 6, 4 * 4 * 2)
    assert target.heatmaps == 2
    np.testing.assert_allclose(np.square(found).mean(), (1 + 2**2) / 2, rtol=1e-3)
    patch = found[0, 6 + 3].reshape(4, 4, 2)  # rows 4…7 and columns 12…15 of the heatmaps
    scale = math.sqrt(math.pi * 1.5**2 / (16 * 24))
    np.testing.assert_allclose(patch[3, 0], np.array([1, 2]) / scale, rtol=1e-5)


def test_the_loss_of_heatmaps_is_zero_if_they_are_predicted_and_has_a_baseline(target):
    images = jnp.zeros((1, *SIZE, 3))
    truth = np.asarray(target(images))
    perfect, predicted = target.score(lambda images, visible: jnp.asarray(truth), images, images, VISIBLE)
    zeros = np.square(np.delete(truth[0], VISIBLE[0], axis=0)).mean()
    np.testing.assert_allclose(perfect, [[0, zeros, 0]], rtol=1e-5)
    np.testing.assert_array_equal(predicted, truth)
    metrics, _ = target.score(lambda images, visible: jnp.zeros(truth.shape), images, images, VISIBLE)
    np.testing.assert_allclose(metrics, [[zeros, zeros, zeros]], rtol=1e-5)


def test_pixels_of_a_later_image_are_scored_against_it_from_what_is_visible_now():
    images, later = jnp.full((1, *SIZE, 3), 0.2), jnp.full((1, *SIZE, 3), 0.6)
    pixels = PixelTarget(SIDE, normalised=False)
    metrics, predicted = pixels.score(lambda images, visible: pixels(later), images, later, VISIBLE)
    change = (255 * 0.4) ** 2
    np.testing.assert_allclose(metrics, [[0, 0, change, change, 0]], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(predicted, 0.6, rtol=1e-5)


def test_normalised_pixels_have_mean_0_and_variance_1():
    images = jnp.asarray(np.random.default_rng(0).random((1, *SIZE, 3)), jnp.float32)
    targets = PixelTarget(SIDE, normalised=True)(images)
    assert targets.shape == split_patches(images, SIDE).reshape(1, 24, -1).shape
    np.testing.assert_allclose(targets.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(targets.std(-1), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("target", "teacher", "message"),
    [("heatmaps", "", "teacher: none is given"), ("pixels", "pretrained", "teacher: pretrained has no use")],
)
def test_a_target_without_its_teacher_and_a_teacher_without_its_target_are_errors(target, teacher, message):
    config = default_config()
    config.update({"target": target, "teacher": teacher})
    with pytest.raises(UserError, match=message):
        make_target(config)
