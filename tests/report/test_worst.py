"""Tests of the choice of frames that a reader should look at."""

import dataclasses

import numpy as np
from stick_series import resting, series

from aggpose_jax.report import worst
from aggpose_jax.timeseries.series import Flag


def film(frames: int = 600):
    """Returns a series of 20 seconds whose expected error is .05, for changes in place."""
    return series(resting(frames))


def test_frames_of_the_highest_error_are_chosen_and_none_beside_them():
    found = film()
    for row in (100, 101, 300):
        found.expected_error[row, 0] = 0.2 + row / 1000
    chosen = worst.choose(found)
    rows = [frame.row for frame in chosen]
    assert len(rows) == worst.SHOWN
    assert rows == sorted(rows)
    assert {101, 300} <= set(rows)
    assert 100 not in rows
    assert min(np.diff(rows)) >= 15  # half a second
    assert next(frame.error for frame in chosen if frame.row == 300) == 0.5


def test_outliers_and_exchanged_points_have_their_places():
    found = film()
    found.flag[40, 0, :3], found.flag[200, 0, 5], found.flag[400, 0, 1:3] = Flag.OUTLIER, Flag.OUTLIER, Flag.SWAPPED
    chosen = {frame.row: frame for frame in worst.choose(found)}
    assert (chosen[40].outliers, chosen[200].outliers, chosen[400].swapped) == (3, 1, 2)


def test_without_a_calibration_the_lowest_scores_are_chosen():
    found = film()
    found.recording.confidence[250, 0, 4] = 0.01
    found = dataclasses.replace(found, expected_error=np.full_like(found.expected_error, np.nan))
    chosen = {frame.row: frame for frame in worst.choose(found)}
    assert chosen[250].worst == 4
    assert np.isnan(chosen[250].error)


def test_frames_without_a_pose_are_not_chosen():
    position = resting(30)
    position[:29] = np.nan
    assert [frame.row for frame in worst.choose(series(position))] == [29]
    assert worst.choose(series(np.full((30, 1, 21, 2), np.nan))) == []
    assert [frame.row for frame in worst.choose(series(resting(1)))] == [0]
