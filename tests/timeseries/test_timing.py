"""Frame intervals and medians of films, also of variable frame rate."""

import warnings

import numpy as np
import pytest

from aggpose_jax.timeseries import timing
from aggpose_jax.timeseries.medians import median


def test_intervals_of_a_film_whose_frame_rate_changes():
    time = np.concatenate([np.arange(30) / 30, 1 + np.arange(60) / 15])
    local = timing.local_intervals(time)
    np.testing.assert_allclose(local[:25], 1 / 30)
    np.testing.assert_allclose(local[-55:], 1 / 15)
    assert timing.typical_interval(time) == pytest.approx(1 / 15)
    assert timing.shortest_interval(time) == pytest.approx(1 / 30)


def test_lost_frames_do_not_change_the_local_interval():
    time = np.delete(np.arange(30) / 25, [10, 11, 20])
    np.testing.assert_allclose(timing.local_intervals(time), 1 / 25)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_single_frame_has_no_interval(frames):
    time = np.zeros(frames)
    assert np.isnan(timing.local_intervals(time)).all()
    assert len(timing.local_intervals(time)) == frames
    assert np.isnan([timing.typical_interval(time), timing.shortest_interval(time)]).all()


def test_the_median_ignores_missing_values_without_a_warning():
    nan = np.nan
    values = np.array([[3, nan, 1], [nan, nan, nan], [4, 1, 2], [nan, nan, -5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(median(values), [2, nan, 2, -5])
        np.testing.assert_array_equal(median(values, axis=0), [3.5, 1, 1])
        assert np.isnan(median(np.zeros((2, 0)))).all()
