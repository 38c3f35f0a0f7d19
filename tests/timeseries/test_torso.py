"""Torso units: where the torso is, and positions relative to it."""

import dataclasses

import numpy as np
import pytest
from keypoint_films import AT_REST, BODY, film

from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.timeseries import torso

HANDS = KeypointSet("hands", ("left_wrist", "right_wrist"), ((0, 1),), (), (0.05, 0.05), ())
UNITS = [[0.4, -1], [-0.4, -1], [0.3, 0], [-0.3, 0], [1, -0.8], [-1, -0.8]]  # AT_REST in torso units


def turned(position: np.ndarray, degrees: float, scale: float = 1, shift=(0, 0)) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return scale * position @ np.array([[c, s], [-s, c]]) + shift


def test_torso_of_a_person_at_rest():
    found = torso.of_film(film(3)[1], BODY)
    np.testing.assert_allclose(found.length, [100])
    np.testing.assert_allclose(found.origin, [[200, 300]])
    np.testing.assert_allclose(found.angle, [-np.pi / 2])


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, -135])
def test_torso_units_do_not_depend_on_place_size_and_direction(degrees):
    position = turned(film(5)[1], degrees, 0.7, (50, -20))
    aligned = torso.align(position, torso.of_film(position, BODY))
    np.testing.assert_allclose(aligned, np.tile(UNITS, (5, 1, 1, 1)), atol=1e-12)


def test_the_median_direction_is_right_where_angles_wrap_around():
    lying = turned(film(5)[1], -90)  # the head is at the left, at an angle of π or −π
    position = np.stack([turned(one, degrees) for one, degrees in zip(lying, (-4, -2, 1, 2, 40), strict=True)])
    angle = torso.of_film(position, BODY).angle[0]
    assert np.cos(angle - np.pi - np.radians(1)) == pytest.approx(1)


def test_of_a_film_the_movement_of_the_trunk_is_retained_and_of_frames_it_is_removed():
    still = film(5)[1]
    position = np.stack([*still[:4], turned(still[4], 20, shift=(30, 0))])
    of_film = torso.of_film(position, BODY)
    aligned = torso.align(position, of_film)
    np.testing.assert_allclose(aligned[:4], np.tile(UNITS, (4, 1, 1, 1)), atol=1e-12)
    expected = (turned(AT_REST[4], 20, shift=(30, 0)) - [200, 300]) / 100
    np.testing.assert_allclose(aligned[4, 0, 4], expected)
    of_frames = torso.of_frames(position, BODY, of_film.length)
    np.testing.assert_allclose(torso.align(position, of_frames), np.tile(UNITS, (5, 1, 1, 1)), atol=1e-12)


def test_missing_frames_and_persons():
    position = np.concatenate([film(4)[1], np.full((4, 1, 6, 2), np.nan)], axis=1)
    position[0, 0, 2] = np.nan
    found = torso.of_film(position, BODY)
    np.testing.assert_array_equal(found.length, [100, np.nan])
    aligned = torso.align(position, found)
    np.testing.assert_allclose(aligned[0, 0, [0, 4]], np.array(UNITS)[[0, 4]])
    assert np.isnan(aligned[0, 0, 2]).all()
    assert np.isnan(aligned[:, 1]).all()
    assert np.isnan(torso.align(position, torso.of_frames(position, BODY, found.length))[0]).all()


def test_a_keypoint_set_without_a_torso_has_no_torso_units():
    position = film(4, keypoint_set=HANDS)[1]
    found = torso.of_film(position, HANDS)
    assert torso.corners(HANDS) is None
    assert np.isnan(found.length).all()
    assert np.isnan(torso.align(position, found)).all()


def test_names_of_the_corners_may_be_spelled_as_other_tools_do():
    assert torso.corners(COCO_17) == [5, 6, 11, 12]
    spelled = dataclasses.replace(BODY, names=("Left Shoulder", "right-shoulder", "LEFT_HIP", "right hip", "a", "b"))
    assert torso.corners(spelled) == [0, 1, 2, 3]
