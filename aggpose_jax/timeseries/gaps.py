"""Gaps in the track of a keypoint: the short ones are filled, the long ones divide it into segments."""

import numpy as np

from aggpose_jax.timeseries.timing import typical_interval

LONGEST = 0.17  # seconds without the keypoint that are filled: five frames at 30 frames per second
ROUNDING = 1e-5  # seconds; times in tables are rounded to millionths


def fill(position: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions [T, P, K, 2] without short gaps, and bool [T, P, K]: where one was filled.

    A gap is filled linearly in time between the frames before and after it, never at the ends of a film.

    Args:
      position: [T, P, K, 2] pixels; NaN where missing.
      time: [T] seconds, rising.
    """
    position = position.copy()
    missing = np.isnan(position).any(axis=-1)
    for person, keypoint in np.argwhere(missing.any(axis=0)):
        track = position[:, person, keypoint]
        present = np.flatnonzero(~missing[:, person, keypoint])
        before, after = present[:-1], present[1:]
        fillable = (after - before > 1) & _are_near(time, before, after)
        for start, end in zip(before[fillable], after[fillable], strict=True):
            inside = slice(start + 1, end)
            weight = (time[inside, None] - time[start]) / (time[end] - time[start])
            track[inside] = (1 - weight) * track[start] + weight * track[end]
    return position, missing & np.isfinite(position).all(axis=-1)


def segments(present: np.ndarray, time: np.ndarray) -> list[slice]:
    """Returns the runs of consecutive frames with a keypoint.

    Args:
      present: [T] whether a frame has the keypoint.
      time: [T] seconds, rising. A long time in which the film has no frame at all ends a run, too.
    """
    frames = np.flatnonzero(present)
    before, after = frames[:-1], frames[1:]
    joined = (after - before == 1) & _are_near(time, before, after)
    runs = np.split(frames, np.flatnonzero(~joined) + 1)
    return [slice(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]


def _are_near(time: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns [N] whether no long gap is between N pairs of frames that have a keypoint."""
    return time[after] - time[before] - typical_interval(time) <= LONGEST + ROUNDING
