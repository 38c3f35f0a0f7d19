"""Tests of whole images of synthetic infants."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.infants import draw_frame, sample_infant
from aggpose_jax.data.synthetic.objects import ellipsoid
from aggpose_jax.data.synthetic.rendering import draw
from aggpose_jax.data.synthetic.staging import Variety
from aggpose_jax.data.synthetic.styles import STYLES

BARE = Variety(cameras=False, garments=False, clutter=False, degradation=False, empty=False)


def test_an_image_is_a_pure_function_of_its_seed():
    images = [draw_frame(sample_infant((5, i), STYLES["train"], Variety(), False), 0, 30.0)[0] for i in (1, 1, 2)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


@pytest.mark.parametrize("split", list(STYLES))
def test_keypoints_lie_in_the_image_where_it_shows_skin_or_clothes(split):
    for i in range(6):
        _, keypoints = draw_frame(
            sample_infant((i,), STYLES[split], dataclasses.replace(Variety(), empty=False), False), 0, 30.0
        )
        assert keypoints.shape == (21, 3)
        seen = keypoints[keypoints[:, 2] > 0]
        assert ((seen[:, :2] >= 0) & (seen[:, :2] <= [319, 239])).all()
        assert set(np.unique(keypoints[:, 2])) <= {0, 1, 2}


def test_a_fifth_of_the_images_show_no_infant():
    empty = [sample_infant((i,), STYLES["train"], Variety(), False).scene.movement is None for i in range(150)]
    assert 0.1 < np.mean(empty) < 0.3


def test_from_above_a_naked_infant_shows_its_front():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    assert abs(infant.scene.movement.roll) < 0.5
    keypoints = draw(infant.scene, 0.0).keypoints
    assert (keypoints[18:, 2] == 2).sum() >= 2  # chin, chest and navel


def test_what_lies_behind_an_object_cannot_be_seen():
    infant = sample_infant((2,), STYLES["train"], BARE, False)
    camera = infant.scene.camera
    before = draw(infant.scene, 0.0).keypoints
    wall = ellipsoid(camera.position + 0.3 * camera.axes[2], 0.25 * np.eye(3), np.array([9.0, 9, 9]))
    hidden = draw(dataclasses.replace(infant.scene, objects=(wall,)), 0.0).keypoints
    assert (before[:, 2] > 0).sum() >= 18
    assert (hidden[:, 2] == 0).all()


def test_frames_of_a_film_move_and_stay_the_same_infant():
    infant = sample_infant((4,), STYLES["train"], dataclasses.replace(Variety(), empty=False), True)
    first, later = (draw(infant.scene, time) for time in (0.0, 0.5))
    moved = np.linalg.norm(first.keypoints[:, :2] - later.keypoints[:, :2], axis=1)
    assert 0.5 < moved.max() < 200
