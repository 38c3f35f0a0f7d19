"""Outliers in time, on tracks of one keypoint whose median and deviations are known."""

import numpy as np
import pytest

from aggpose_jax.timeseries import outliers


def find(x, rate=30.0, y=None, length=100.0, time=None):
    """Returns the frames in which a keypoint with these x in torso lengths is an outlier."""
    x = np.asarray(x, float)
    position = np.stack([x, np.zeros(len(x)) if y is None else y], axis=-1)[:, None, None]
    time = np.arange(len(x)) / rate if time is None else time
    return np.flatnonzero(outliers.find(100 * position, time, np.array([length]))[:, 0, 0]).tolist()


def spike(height, at=20, frames=40):
    return height * (np.arange(frames) == at)


def test_the_floor_separates_rest_from_a_spike():
    assert find(spike(0.051)) == [20]
    assert find(spike(0.049)) == []
    assert find(spike(0), y=spike(-0.06)) == [20]


def test_a_spike_on_a_moving_limb_must_exceed_three_deviations():
    # With a = .02 the window is −3a, −2a, −a, the spike, a, 2a, 3a: its median is a, the deviations from it are 4a, 3a,
    # 2a, 0, a, 2a and that of the spike, and their median is 2a. So a spike above a + 3 · 1.4826 · 2a = .198 is found.
    ramp = 0.02 * np.arange(40)
    assert find(ramp + spike(0.19)) == []
    assert find(ramp + spike(0.21)) == [20]


def test_fast_movement_is_no_outlier():
    time = np.arange(90) / 30
    assert find(0.3 * np.sin(2 * np.pi * 2 * time)) == []


@pytest.mark.parametrize(("rate", "longest"), [(13, 1), (15, 1), (25, 2), (30, 3), (60, 6), (240, 27)])
def test_the_window_is_the_odd_number_of_frames_nearest_to_its_seconds(rate, longest):
    # More than half of a window is its median: an excursion is found while it is shorter than half of the window.
    track = np.zeros(200)
    track[100 : 100 + longest] = 1
    assert find(track, rate) == list(range(100, 100 + longest))
    track[100 + longest] = 1
    assert set(find(track, rate)) != set(range(100, 101 + longest))


@pytest.mark.parametrize("rate", [5, 12.5])
def test_slow_films_have_no_outliers(rate):
    assert find(spike(1), rate) == []


def test_the_window_follows_the_frame_rate_of_each_part_of_a_film():
    time = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 10])
    assert find(spike(1, at=30, frames=120), time=time) == [30]
    assert find(spike(1, at=90, frames=120), time=time) == []


def test_missing_values_are_no_outliers_and_do_not_hide_one():
    track = spike(0.2)
    track[[17, 18, 19, 21]] = np.nan
    assert find(track) == [20]
    assert find(np.full(40, np.nan)) == []


def test_spikes_at_the_ends_and_in_short_films():
    assert find(spike(1, at=0)) == [0]
    assert find(spike(1, at=39)) == [39]
    assert find([5]) == []
    assert find([0, 5]) == []
    assert find([0, 0, 5]) == [2]


def test_without_a_torso_length_there_is_no_outlier():
    assert find(spike(1), length=np.nan) == []
