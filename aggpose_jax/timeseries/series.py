"""The cleaned keypoints of a recording, and what was done to each of them."""

import dataclasses
import enum

import numpy as np

from aggpose_jax.recordings.recording import Recording


class Flag(enum.IntEnum):
    """What a keypoint of a frame is, after all steps."""

    OK = 0  # as predicted
    UNSURE = 1  # as predicted; perhaps left and right are exchanged from here on
    OUTLIER = 2  # removed: far from the frames before and after it, and not filled
    SWAPPED = 3  # left and right were exchanged back
    FILLED = 4  # interpolated
    MISSING = 5  # no pose, or too uncertain


@dataclasses.dataclass(frozen=True)
class Series:
    """The keypoints of a recording after cleaning: T frames, P persons, K keypoints.

    Attributes:
      recording: the recording, unchanged.
      position: [T, P, K, 2] x and y in pixels; NaN where the flag is OUTLIER or MISSING.
      flag: [T, P, K] values of Flag, uint8.
      expected_error: [T, P, K] expected error in torso lengths; NaN without a pose or without a calibration.
    """

    recording: Recording
    position: np.ndarray
    flag: np.ndarray
    expected_error: np.ndarray
