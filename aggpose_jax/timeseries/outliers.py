"""Outliers in time, by the filter of Hampel: values that are far from the median of the frames around them.

Source: L. Davies and U. Gather, The identification of multiple outliers, JASA 88 (1993), with a floor. Without a floor
the filter finds outliers wherever a keypoint rests, since their median deviation is then next to nothing.
"""

import numpy as np

from aggpose_jax.timeseries.medians import median
from aggpose_jax.timeseries.timing import local_intervals

WINDOW = 0.23  # seconds: seven frames at 30 frames per second
SIGMAS = 3 * 1.4826  # 1.4826 median absolute deviations are one standard deviation of a normal distribution
FLOOR = 0.05  # torso lengths, below which no deviation is an outlier
SLOWEST = 13  # frames per second, below which three frames take longer than the window


def find(position: np.ndarray, time: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Returns bool [T, P, K]: where x or y is further from the median of the window than SIGMAS and FLOOR.

    Args:
      position: [T, P, K, 2] pixels; NaN where missing, which is no outlier.
      time: [T] seconds, rising.
      length: [P] torso lengths in pixels; no outlier is found where it is NaN.
    """
    found = np.zeros(position.shape[:3], bool)
    half = _half_windows(time)
    for person, scale in enumerate(length):
        for keypoint in range(position.shape[2]):
            values = position[:, person, keypoint] / scale
            for size in np.unique(half[half > 0]):
                frames = half == size
                found[frames, person, keypoint] = _deviates(values, size)[frames]
    return found


def _half_windows(time: np.ndarray) -> np.ndarray:
    """Returns the [T] frames before and after each frame in its window; 0 where the frame rate is too low."""
    frames = WINDOW / local_intervals(time)
    half = np.maximum(np.rint((frames - 1) / 2), 1)
    return np.where(frames >= SLOWEST * WINDOW, half, 0).astype(int)


def _deviates(values: np.ndarray, half: int) -> np.ndarray:
    """Returns [T] whether a coordinate of values [T, 2], in torso lengths, is an outlier in its window."""
    padded = np.pad(values, ((half, half), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    middle = median(windows)
    spread = median(np.abs(windows - middle[..., None]))
    return (np.abs(values - middle) > np.maximum(SIGMAS * spread, FLOOR)).any(axis=-1)
