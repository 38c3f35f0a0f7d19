"""Which keypoints are sure, by hand-computed distances."""

import numpy as np
import pytest

from aggpose_jax.adaptation.selection import REASONS, Selection, disagreement, movement_of, select

TORSO = 50.0  # pixels: .1 torso lengths are 5 pixels, .25 are 12.5


def pose(*scores: float) -> np.ndarray:
    """Returns the keypoints [1, K, 3] of one frame with these scores, at (10, 20), (11, 20), …"""
    return np.array([[(10.0 + k, 20.0, score) for k, score in enumerate(scores)]])


def moved(keypoints: np.ndarray, *pixels: float) -> np.ndarray:
    """Returns keypoints that are moved along x by these numbers of pixels, and score 0."""
    other = keypoints.copy()
    other[..., 0] += pixels
    other[..., 2] = 0
    return other


def test_a_keypoint_is_sure_if_its_score_and_its_mirror_image_allow_it():
    keypoints = pose(0.6, 0.59, 0.9, 0.9)
    found = select(keypoints, moved(keypoints, 5.0, 0, 5.1, -4.9), TORSO)
    assert found.sure.tolist() == [[True, False, False, True]]
    assert dict(zip(REASONS, found.refused.sum(1).tolist(), strict=True)) == {
        "missing": 0, "uncertain": 1, "differs in the mirrored image": 1, "jumps between frames": 0
    }  # fmt: skip
    assert select(keypoints, keypoints, TORSO, least_score=0.5).sure.all()


def test_a_point_is_refused_once_for_the_first_reason():
    keypoints = pose(0.1, np.nan, 0.9)
    found = select(keypoints, moved(keypoints, 30, 30, 30), TORSO, np.array([[0.3, 0.3, 0.3]]))
    assert found.refused.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert found.refused.sum() == found.sure.size


def test_a_jump_is_refused_and_an_unknown_movement_is_not():
    keypoints = pose(0.9, 0.9, 0.9)
    found = select(keypoints, keypoints, TORSO, np.array([[0.25, 0.26, np.nan]]))
    assert found.sure.tolist() == [[True, False, True]]
    assert found.refused[3].tolist() == [0, 1, 0]


def test_the_expected_error_replaces_the_score():
    keypoints = pose(0.1, 0.9, 0.9)
    error = np.array([[0.1, 0.11, np.nan]])
    assert select(keypoints, keypoints, TORSO, expected_error=error).sure.tolist() == [[True, False, False]]
    assert select(keypoints, keypoints, TORSO, expected_error=error, limit=0.05).sure.sum() == 0


@pytest.mark.parametrize("torso", [np.nan, 0.0])
def test_without_a_torso_nothing_is_sure(torso):
    keypoints = pose(0.9, 0.9)
    found = select(keypoints, keypoints, torso)
    assert not found.sure.any()
    assert found.refused.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]


def test_each_frame_may_have_a_torso_length_of_its_own():
    keypoints = np.repeat(pose(0.9), 2, axis=0)
    found = select(keypoints, moved(keypoints, 6.0), np.array([50.0, 60.0]))
    assert found.sure.tolist() == [[False], [True]]


def test_a_frame_is_used_if_half_of_its_keypoints_are_sure():
    sure = np.array([[True, True, False, False], [True, False, False, False], [True, True, True, True]])
    assert Selection(sure, np.zeros((4, 4))).used.tolist() == [True, False, True]


def test_the_disagreement_is_in_torso_lengths():
    keypoints = pose(0.9, 0.9)
    other = keypoints + np.array([3.0, 4.0, 0.0])
    other[0, 1] = np.nan
    assert disagreement(keypoints, other, TORSO)[0] == pytest.approx([0.1, np.nan], nan_ok=True)


def test_the_movement_is_the_distance_to_the_mean_of_both_neighbours():
    x = np.array([0.0, 10.0, 40.0, 50.0, np.nan, 70.0])
    film = np.stack([x, np.zeros(6), np.ones(6)], axis=-1)[:, None]
    # Frame 1 is 10 pixels from the mean of 0 and 40, frame 2 is 10 from that of 10 and 50.
    assert movement_of(film, TORSO)[:, 0] == pytest.approx([np.nan, 0.2, 0.2, np.nan, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_a_film_of_fewer_than_three_frames_has_no_movement(frames):
    film = np.repeat(pose(0.9, 0.9), frames, axis=0)
    assert np.isnan(movement_of(film, TORSO)).all()
    found = select(film, film, TORSO, movement_of(film, TORSO))
    assert found.sure.shape == (frames, 2)
    assert found.sure.all()
    assert found.used.tolist() == [True] * frames
