"""Tests of the verdict: each limit by a film that is just within it and one that is just beyond."""

import dataclasses
import json

import numpy as np
import pytest
from stick_series import SHOULDERS, resting, series

from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.timeseries.camera_motion import CameraMotion
from aggpose_jax.timeseries.verdict import judge

PAIR = KeypointSet("pair", ("left_hand", "right_hand"), ((0, 1),), ((0, 1),), (0.05, 0.07), (0,))


@dataclasses.dataclass(frozen=True)
class Measured:
    domain: str = "infants at home"


REAL = Measured()


def still(frames: int) -> CameraMotion:
    return CameraMotion(np.zeros((frames, 2)), np.zeros(frames, bool))


def levels(film, camera=None, calibration=REAL) -> list[str]:
    camera = camera or still(len(film.position))
    return [one.level.words for one in judge(film, camera, calibration).judgements.values()]


def reasons(film, camera=None) -> str:
    found = judge(film, camera or still(len(film.position)), Measured()).judgements
    return " ".join(reason for one in found.values() for reason in one.reasons)


def test_a_resting_infant_is_usable():
    verdict = judge(series(resting(120)), still(120), Measured())
    assert verdict.to_fields() == {
        subject: {"verdict": "usable", "reasons": []} for subject in ("position", "speed", "fidgety")
    }
    json.dumps(verdict.to_fields())


def stretched(ratio: float, frames: int = 120) -> np.ndarray:
    """Returns positions of a torso whose length alternates between 1 - ratio and 1 + ratio, so that they vary by it."""
    position = resting(frames)
    length = 100 * (1 + ratio * np.where(np.arange(frames) % 2, 1, -1))
    position[:, 0, SHOULDERS, 1] = 400 - length[:, None]
    return position


def test_a_torso_that_varies_is_unusable():
    assert levels(series(stretched(0.099))) == ["usable"] * 3
    assert levels(series(stretched(0.101))) == ["unusable"] * 3
    assert "varies by 0.12 of its mean, more than 0.10" in reasons(series(stretched(0.12)))


def test_a_lasting_change_of_the_torso_is_no_variation():
    position = resting(210)
    position[105:, 0, SHOULDERS, 1] += 40  # The torso is shorter by 40 % for the second half of seven seconds.
    assert levels(series(position)) == ["usable"] * 3
    position[150:, 0, SHOULDERS, 1] -= 40  # And as before after 1.5 seconds, which is not lasting.
    assert levels(series(position)) == ["unusable"] * 3


def jumping(points: int) -> np.ndarray:
    """Returns positions of 101 frames with 2100 speeds, of which twice as many as `points` are 11 torso lengths/s."""
    position = resting(101)
    ankle = 7
    position[1 : 2 * points + 1 : 2, 0, ankle, 0] += 11 * 100 / 30
    return position


def test_jumping_points_are_unusable():
    assert levels(series(jumping(10))) == ["usable"] * 3  # 20 of 2100 speeds
    assert levels(series(jumping(11))) == ["unusable"] * 3  # 22
    assert "1.0 % of the points are faster than 9 torso lengths per second" in reasons(series(jumping(11)))


def test_speeds_are_compared_over_the_same_time_at_all_frame_rates():
    position = resting(481)
    position[::2, 0, :, 0] += 5  # .05 torso lengths of jitter from frame to frame, 12 torso lengths/s at 240 frames/s
    assert levels(series(position, 240.0)) == ["usable"] * 3


def test_missing_points_are_unusable():
    position = resting(100)
    position[:, 0, :6] = np.nan  # 15 of 21 points, 71 %
    assert "unusable" not in levels(series(position))
    position[:, 0, :7] = np.nan  # 67 %
    assert levels(series(position)) == ["unusable"] * 3
    assert "Only 67 % of the points are usable" in reasons(series(position))


def test_gaps_are_named_by_their_times():
    position = resting(150)
    position[60:89] = np.nan  # from frame 59 to 89: one second
    assert levels(series(position)) == ["usable"] * 3
    position[60:90] = np.nan
    assert levels(series(position)) == ["with limits"] * 3
    assert "from 2.0 to 3.0 s" in reasons(series(position))
    lead_in = resting(150)
    lead_in[:32] = np.nan
    assert "at the beginning, from 0.0 to 1.1 s" in reasons(series(lead_in))
    end = resting(150)
    end[-32:] = np.nan
    assert "from 3.9 to 5.0 s" in reasons(series(end))


def test_a_damaged_film_is_limited():
    assert levels(series(resting(98), promised=100)) == ["usable"] * 3
    assert levels(series(resting(97), promised=100)) == ["with limits"] * 3
    assert "Only 97 of 100 frames (97 %)" in reasons(series(resting(97), promised=100))


def test_a_slow_film_is_limited():
    assert levels(series(resting(100), 24000 / 1001)) == ["usable"] * 3
    assert levels(series(resting(100), 23.8)) == ["with limits"] * 3
    assert "15.0 frames per second" in reasons(series(resting(100), 15.0))
    assert levels(series(resting(100), 3.6)) == ["with limits", "with limits", "unusable"]
    # 100 intervals of 1/30 s and 49 of 1/15 s
    changing = np.concatenate([np.arange(100) / 30, 100 / 30 + np.arange(50) / 15])
    assert "22.6 frames per second" in reasons(series(resting(150), time=changing))


def test_a_moving_camera_is_limited():
    film, path = series(resting(100)), np.zeros((100, 2))
    path[50:70, 0] = 0.0099
    assert levels(film, CameraMotion(path, np.zeros(100, bool))) == ["usable"] * 3
    path[60, 0] = 0.02
    moved = CameraMotion(path, np.zeros(100, bool))
    assert levels(film, moved) == ["with limits"] * 3
    assert "displaced by 2.0 % of the image's diagonal" in reasons(film, moved)


def test_a_shaken_or_unknown_camera_is_limited():
    film = series(resting(100))
    shaken = CameraMotion(np.zeros((100, 2)), np.arange(100) == 50)
    assert "the whole picture jumped in 1 of 100 frames" in reasons(film, shaken)
    unknown = np.where(np.arange(100)[:, None] < 11, np.nan, np.zeros(2))
    assert levels(film, CameraMotion(unknown, np.zeros(100, bool))) == ["usable", "with limits", "with limits"]
    unread = judge(film, None, Measured()).judgements["position"]
    assert unread.level.words == "with limits"
    assert "video was not read" in unread.reasons[0]


def test_what_the_camera_did_before_the_first_pose_is_not_needed():
    position = resting(100)
    position[:20] = np.nan
    unknown = np.where(np.arange(100)[:, None] < 20, np.nan, np.zeros(2))
    assert levels(series(position), CameraMotion(unknown, np.zeros(100, bool))) == ["usable"] * 3


def test_a_second_infant_is_limited():
    position = resting(100, persons=2)
    assert levels(series(position)) == ["with limits"] * 3
    assert "2 persons were found, more than one in 100 % of the frames" in reasons(series(position))
    position[1:, 1] = np.nan  # in one frame of a hundred
    assert levels(series(position)) == ["usable"] * 3


def test_a_second_infant_who_was_not_tracked_is_limited():
    film = series(resting(100))

    def searched(frames, second):
        facts = dataclasses.replace(film.recording.facts, searched=frames, second=second)
        return dataclasses.replace(film, recording=dataclasses.replace(film.recording, facts=facts))

    assert levels(searched(0, 0)) == levels(searched(20, 2)) == ["usable"] * 3
    assert levels(searched(1, 1)) == levels(searched(20, 3)) == ["with limits"] * 3
    assert "another one in 3 of 20 frames" in reasons(searched(20, 3))


def test_the_person_with_most_points_is_judged():
    position = resting(100, persons=2)
    position[10:, 0] = np.nan
    assert levels(series(position)) == ["with limits"] * 3


def test_errors_that_are_unknown_or_of_synthetic_infants_are_a_limit():
    film = series(resting(100))
    assert levels(film, calibration=None) == ["with limits"] * 3
    assert levels(film, calibration=Measured("synthetic infants")) == ["with limits"] * 3


def test_films_without_a_pose_of_one_frame_and_short_ones_are_judged():
    assert levels(series(np.full((100, 1, 21, 2), np.nan))) == ["unusable"] * 3
    assert levels(series(np.full((1, 1, 21, 2), np.nan))) == ["unusable"] * 3
    assert levels(series(resting(1))) == ["with limits", "unusable", "unusable"]
    assert levels(series(resting(33))) == ["usable", "usable", "unusable"]  # 32/30 s, less than a period of .9 Hz
    assert levels(series(resting(35))) == ["usable"] * 3


@pytest.mark.parametrize("keypoint_set", [PAIR, COCO_17])
def test_films_without_a_torso_are_limited(keypoint_set):
    position = np.full((100, 1, len(keypoint_set), 2), 5.0)
    if keypoint_set is COCO_17:  # The hips, 11 and 12, are hidden in all frames.
        position[:, 0, 11:13] = np.nan
    assert levels(series(position, keypoint_set=keypoint_set)) == ["with limits"] * 3
    assert "could" in reasons(series(position, keypoint_set=keypoint_set))
