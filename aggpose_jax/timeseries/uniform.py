"""Resampling of keypoints to uniform time, as derivatives and spectra need it."""

import itertools

import numpy as np
from scipy.interpolate import PchipInterpolator

# Seconds between two known values that are bridged at most: five missing frames of 30 per second. At low frame rates it
# is 1.5 times the usual time between frames, so that only missing frames are gaps.
MAX_STEP = 0.21
MAX_STEPS = 1.5
ROUNDING = 0.01  # samples by which a time may miss a sample, since times in files are rounded


def resample(position: np.ndarray, time: np.ndarray, rate: float) -> np.ndarray:
    """Returns positions at uniform times from the first to the last frame, by PCHIP (Fritsch and Carlson 1980).

    PCHIP does not overshoot. Nothing is extrapolated, and no gap longer than MAX_STEP is bridged.

    Args:
      position: [T, K, 2]; NaN where missing.
      time: [T] seconds, rising.
      rate: samples per second of the result.

    Returns:
      [N, K, 2]; NaN in gaps.
    """
    steps = np.diff(time)
    longest = max(MAX_STEP, MAX_STEPS * float(np.median(steps))) if len(steps) else MAX_STEP
    grid = np.arange(int((time[-1] - time[0]) * rate + ROUNDING) + 1) / rate + time[0]
    result = np.full((len(grid), *position.shape[1:]), np.nan)
    for k in range(position.shape[1]):
        known = np.isfinite(position[:, k]).all(axis=1)
        times, values = time[known], position[known, k]
        for run in _runs(times, longest):
            first, last = times[run][[0, -1]]
            inside = (grid >= first - ROUNDING / rate) & (grid <= last + ROUNDING / rate)
            result[inside, k] = PchipInterpolator(times[run], values[run])(np.clip(grid[inside], first, last))
    return result


def _runs(time: np.ndarray, longest: float) -> list[slice]:
    """Returns the parts of rising times with steps of at most `longest`, each of two times or more."""
    ends = [0, *(np.flatnonzero(np.diff(time) > longest) + 1).tolist(), len(time)]
    return [slice(a, b) for a, b in itertools.pairwise(ends) if b - a >= 2]
