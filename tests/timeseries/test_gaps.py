"""Gaps: short ones are filled linearly in time, long ones and the ends are not."""

import numpy as np
import pytest

from aggpose_jax.timeseries import gaps


def track(frames: int, missing, rate: float = 30):
    """Returns times and positions [T, 1, 1, 2], (t, −2t) in seconds, without the missing frames."""
    time = np.arange(frames) / rate
    position = np.stack([time, -2 * time], axis=-1)[:, None, None]
    position[list(missing)] = np.nan
    return time, position


@pytest.mark.parametrize(
    ("rate", "longest"), [(5, 0), (10, 1), (25, 4), (29.97, 5), (30, 5), (50, 8), (100, 17), (240, 40)]
)
def test_the_longest_gap_is_the_same_time_at_any_frame_rate(rate, longest):
    time, position = track(100, range(20, 20 + longest), rate)
    filled, where = gaps.fill(position, time)
    assert np.flatnonzero(where[:, 0, 0]).tolist() == list(range(20, 20 + longest))
    np.testing.assert_allclose(filled[:, 0, 0], np.stack([time, -2 * time], axis=-1))
    time, position = track(100, range(20, 21 + longest), rate)
    filled, where = gaps.fill(position, time)
    assert not where.any()
    np.testing.assert_array_equal(filled, position)


def test_the_ends_are_not_filled():
    time, position = track(20, [0, 1, 18, 19])
    filled, where = gaps.fill(position, time)
    np.testing.assert_array_equal(filled, position)
    assert not where.any()


def test_a_gap_is_filled_linearly_in_time_not_in_frames():
    time = np.array([0, 0.04, 0.08, 0.1, 0.14])
    position = np.array([0, np.nan, np.nan, 10, 14.0])[:, None, None, None].repeat(2, axis=-1)
    filled, _ = gaps.fill(position, time)
    np.testing.assert_allclose(filled[:, 0, 0, 0], [0, 4, 8, 10, 14])


def test_lost_frames_count_as_missing():
    time, position = track(30, [10])
    kept = np.delete(np.arange(30), range(11, 20))
    assert not gaps.fill(position[kept], time[kept])[1].any()


def test_nothing_is_filled_without_two_values():
    for missing in (range(1, 5), range(5)):
        time, position = track(5, missing)
        np.testing.assert_array_equal(gaps.fill(position, time)[0], position)


def test_segments_are_the_runs_with_a_keypoint():
    time, position = track(10, [0, 3, 4, 9])
    assert gaps.segments(np.isfinite(position[:, 0, 0, 0]), time) == [slice(1, 3), slice(5, 9)]
    assert gaps.segments(np.zeros(10, bool), time) == []
    assert gaps.segments(np.ones(1, bool), time[:1]) == [slice(0, 1)]


def test_a_time_without_frames_ends_a_segment():
    time = np.concatenate([np.arange(5) / 30, 1 + np.arange(5) / 30])
    assert gaps.segments(np.ones(10, bool), time) == [slice(0, 5), slice(5, 10)]
    assert gaps.segments(np.ones(10, bool), np.arange(10) / 5) == [slice(0, 10)]
