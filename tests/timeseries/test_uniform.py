"""Resampling to uniform time."""

import numpy as np
import pytest

from aggpose_jax.timeseries import uniform


def test_values_at_the_times_of_frames_are_unchanged():
    time = np.round(np.arange(40) / 30, 6)  # as written in files
    position = np.random.default_rng(0).normal(size=(40, 2, 2))
    np.testing.assert_allclose(uniform.resample(position, time, 30), position, atol=1e-4)


def test_a_straight_movement_with_lost_frames_and_of_variable_rate_stays_straight():
    time = np.delete(np.arange(30) / 30, [4, 5, 11])
    time = np.concatenate([time, 1 + np.arange(15) / 15])
    position = np.stack([2 * time, 1 - time], axis=-1)[:, None]
    found = uniform.resample(position, time, 30)
    expected = np.arange(len(found)) / 30
    assert len(found) == int(time[-1] * 30 + 0.5) + 1
    np.testing.assert_allclose(found[:, 0], np.stack([2 * expected, 1 - expected], axis=-1), atol=1e-9)


def test_long_gaps_and_ends_are_not_bridged():
    position = np.ones((60, 1, 2))
    position[:3] = position[20:26] = position[40:45] = np.nan  # bridged are 5 missing frames, not 6
    found = np.isnan(uniform.resample(position, np.arange(60) / 30, 30)).all(axis=(1, 2))
    assert np.flatnonzero(found).tolist() == [0, 1, 2, *range(20, 26)]


def test_the_usual_time_between_frames_is_no_gap():
    found = uniform.resample(np.arange(24.0).reshape(12, 1, 2), np.arange(12) / 4, 30)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_film_without_a_position_and_one_of_a_frame_have_none(frames):
    position = np.full((frames, 3, 2), np.nan)
    assert np.isnan(uniform.resample(position, np.arange(frames) / 30, 30)).all()
    single = uniform.resample(np.ones((1, 3, 2)), np.zeros(1), 30)
    assert single.shape == (1, 3, 2)
    assert np.isnan(single).all()
