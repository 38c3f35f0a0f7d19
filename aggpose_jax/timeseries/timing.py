"""The times between the frames of a film, which need not be equal: the base of all lengths in frames."""

import numpy as np
from scipy import ndimage

NEIGHBOURS = 7  # intervals whose median is the local interval; a few lost frames among them do not change it
FAST = 10  # percentile of the intervals at which values are filtered; a few that are far too short do not change it


def local_intervals(time: np.ndarray) -> np.ndarray:
    """Returns the [T] seconds between frames around each frame; NaN for a single frame.

    Args:
      time: [T] seconds, rising.
    """
    if len(time) < 2:
        return np.full(len(time), np.nan)
    intervals = ndimage.median_filter(np.diff(time), NEIGHBOURS, mode="nearest")
    return np.concatenate([intervals[:1], intervals])


def typical_interval(time: np.ndarray) -> float:
    """Returns the median of the seconds between frames; NaN for a single frame."""
    return float(np.median(np.diff(time))) if len(time) > 1 else np.nan


def shortest_interval(time: np.ndarray) -> float:
    """Returns the seconds between frames where a film of variable frame rate is fastest; NaN for a single frame."""
    return float(np.percentile(np.diff(time), FAST)) if len(time) > 1 else np.nan
