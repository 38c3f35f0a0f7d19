"""Cleaning: the order of the steps, what each switch does, and flags."""

import dataclasses

import numpy as np
import pytest
from keypoint_films import Certainty, film, record

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.series import Flag
from aggpose_jax.timeseries.smoothing import Butterworth

WRIST = 4
HANDS = KeypointSet("hands", ("left_wrist", "right_wrist"), ((0, 1),), (), (0.05, 0.05), ())
OFF = Options(abstain=False, swaps=False, outliers=False, fill=False)


def faulty():
    """A film with a spike at frame 10, a swap at 20 to 22, an uncertain wrist at 30, and no wrist from 40 to 49."""
    time, position = film(60)
    score = np.full(position.shape[:3], 0.8)
    position[10, 0, WRIST] += 60
    position[20:23, 0, 4:] = position[20:23, 0, [5, 4]]
    score[20:23, 0, 4] = 0.6
    position[30, 0, WRIST], score[30, 0, WRIST] = (0, 0), 0.3
    position[40:50, 0, WRIST] = np.nan
    return record(time, position, score)


def flags(series, keypoint=WRIST):
    return {Flag(f): np.flatnonzero(series.flag[:, 0, keypoint] == f).tolist() for f in np.unique(series.flag[:, 0])}


def test_all_steps():
    series = clean(faulty(), Options(), Certainty())
    found = flags(series)
    assert found[Flag.FILLED] == [10, 30]
    assert found[Flag.SWAPPED] == [20, 21, 22]
    assert found[Flag.MISSING] == list(range(40, 50))
    assert len(found[Flag.OK]) == 60 - 2 - 3 - 10
    present = np.delete(np.arange(60), range(40, 50))
    np.testing.assert_allclose(series.position[present], film(50)[1])
    assert np.isnan(series.position[40:50, 0, WRIST]).all()
    assert flags(series, 5)[Flag.SWAPPED] == [20, 21, 22]


def test_the_expected_error_follows_the_keypoint_that_was_exchanged():
    error = clean(faulty(), Options(), Certainty()).expected_error[:, 0]
    np.testing.assert_allclose(error[20:23, 4:], [[0.2, 0.4]] * 3)
    np.testing.assert_allclose(error[[10, 30], WRIST], [0.2, 0.7])
    assert np.isnan(clean(faulty(), Options()).expected_error).all()


@pytest.mark.parametrize(
    ("step", "flag", "frames"),
    [
        ("abstain", Flag.MISSING, [30, *range(40, 50)]),
        ("swaps", Flag.SWAPPED, [20, 21, 22]),
        ("outliers", Flag.OUTLIER, [10, 20, 21, 22, 30]),
        ("fill", Flag.FILLED, []),
    ],
)
def test_each_step_alone(step, flag, frames):
    series = clean(faulty(), dataclasses.replace(OFF, **{step: True}), Certainty())
    assert flags(series).get(flag, []) == frames
    others = set(flags(series)) - {flag, Flag.OK, Flag.MISSING}
    assert not others


def test_without_any_step_the_positions_are_those_of_the_network():
    recording = faulty()
    series = clean(recording, OFF, Certainty())
    np.testing.assert_array_equal(series.position, recording.position)
    assert set(flags(series)) == {Flag.OK, Flag.MISSING}


def test_the_recording_is_not_changed():
    recording = faulty()
    position, confidence = recording.position.copy(), recording.confidence.copy()
    clean(recording, Options(smoothing=Butterworth()), Certainty())
    np.testing.assert_array_equal(recording.position, position)
    np.testing.assert_array_equal(recording.confidence, confidence)


def test_without_a_calibration_nothing_is_abstained_from():
    assert 30 not in flags(clean(faulty(), dataclasses.replace(OFF, abstain=True)))[Flag.MISSING]


def test_a_single_jump_is_left_and_unsure():
    time, position = film(30)
    position[12:, 0, 4:] = position[12:, 0, [5, 4]]
    series = clean(record(time, position), Options())
    assert flags(series)[Flag.UNSURE] == [12]
    np.testing.assert_allclose(series.position, position)


def test_smoothing_changes_values_and_no_flag():
    time, position = film(60)
    position[:, 0, WRIST, 0] += 20 * np.sin(2 * np.pi * 8 * time)
    plain = clean(record(time, position), OFF)
    smoothed = clean(record(time, position), dataclasses.replace(OFF, smoothing=Butterworth(3)))
    np.testing.assert_array_equal(smoothed.flag, plain.flag)
    assert np.ptp(smoothed.position[10:50, 0, WRIST, 0]) < 2
    np.testing.assert_allclose(smoothed.position[:, 0, :4], plain.position[:, 0, :4])


def test_persons_are_cleaned_each_by_its_own_torso():
    time, one = film(40)
    position = np.concatenate([one, 0.1 * one], axis=1)
    position[20, :, WRIST] += 4  # .04 torso lengths of the first person, .4 of the second one
    series = clean(record(time, position), dataclasses.replace(OFF, outliers=True))
    assert series.flag[20, :, WRIST].tolist() == [Flag.OK, Flag.OUTLIER]


def test_a_keypoint_set_without_a_torso_is_filled_and_smoothed_only():
    time, position = film(40, keypoint_set=HANDS)
    position[20] += 300
    position[30] = np.nan
    series = clean(record(time, position, keypoint_set=HANDS), Options(smoothing=Butterworth()))
    assert np.flatnonzero(series.flag[:, 0, 0]).tolist() == [30]
    assert (series.flag[30] == Flag.FILLED).all()
    assert np.isfinite(series.position).all()


@pytest.mark.parametrize("frames", [1, 2, 10])
@pytest.mark.parametrize("rate", [5, 30, 240])
def test_films_without_a_pose_and_of_few_frames(frames, rate):
    time, position = film(frames, rate)
    options = Options(smoothing=Butterworth(2))
    np.testing.assert_allclose(clean(record(time, position), options, Certainty()).position, position)
    empty = clean(record(time, np.full_like(position, np.nan)), options, Certainty())
    assert (empty.flag == Flag.MISSING).all()
    assert np.isnan(empty.position).all()
    assert np.isnan(empty.expected_error).all()


def test_half_of_a_position_is_none():
    time, position = film(3)
    position[1, 0, WRIST, 1] = np.nan
    series = clean(record(time, position), OFF)
    assert np.isnan(series.position[1, 0, WRIST]).all()
    assert series.flag[1, 0, WRIST] == Flag.MISSING


def test_a_cutoff_that_the_film_does_not_allow_is_one_line():
    time, position = film(30, rate=5)
    with pytest.raises(UserError, match=r"butterworth: .* 5 frames per second"):
        clean(record(time, position), Options(smoothing=Butterworth()))
