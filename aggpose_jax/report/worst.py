"""Chooses the frames of a film that a reader should look at: those in which the keypoints are least certain."""

import dataclasses

import numpy as np

from aggpose_jax.timeseries.body_checks import principal
from aggpose_jax.timeseries.series import Flag, Series

SHOWN = 12
SPACING = 0.5  # seconds between two chosen frames, less in a film that is too short for so many
SUSPECT = (Flag.OUTLIER, Flag.SWAPPED)


@dataclasses.dataclass(frozen=True)
class WorstFrame:
    """A frame of the principal person.

    Attributes:
      row: index of the frame in the recording.
      error: mean expected error of its keypoints in torso lengths; NaN without a calibration.
      confidence: mean score of its keypoints.
      worst: index of the keypoint of the largest expected error, or without a calibration of the lowest score.
      outliers, swapped: numbers of keypoints with these flags.
    """

    row: int
    error: float
    confidence: float
    worst: int
    outliers: int
    swapped: int


def choose(series: Series) -> list[WorstFrame]:
    """Returns at most SHOWN frames that have a pose, in the order of time.

    A third of them are those with most keypoints removed as outliers, a third those in which most were exchanged
    between left and right, if there are so many, and the others have the highest mean expected error; without a
    calibration the lowest mean score. Frames beside a chosen one are left out.
    """
    person = principal(series)
    flag, confidence = series.flag[:, person], series.recording.confidence[:, person]
    error = series.expected_error[:, person]
    doubt = _mean(error if np.isfinite(error).any() else -confidence)
    counts = np.stack([(flag == suspect).sum(axis=1) for suspect in SUSPECT])
    has_pose = np.isfinite(series.recording.position[:, person]).all(axis=-1).any(axis=1)
    time = series.recording.time
    spacing = min(SPACING, (time[-1] - time[0]) / (2 * SHOWN))
    chosen: list[int] = []
    for count in counts:
        limit = len(chosen) + SHOWN // 3
        chosen = _add(chosen, np.where(has_pose & (count > 0), count, -np.inf), time, spacing, limit)
    chosen = _add(chosen, np.where(has_pose, np.nan_to_num(doubt, nan=-np.inf), -np.inf), time, spacing, SHOWN)
    return [_describe(row, error[row], confidence[row], counts[:, row]) for row in sorted(chosen)]


def _add(chosen: list[int], rank: np.ndarray, time: np.ndarray, spacing: float, limit: int) -> list[int]:
    """Returns the chosen rows and further ones by falling rank [T], up to `limit`, none within a spacing of another."""
    chosen = list(chosen)
    for row in np.argsort(-rank, kind="stable").tolist():
        if len(chosen) >= limit or rank[row] == -np.inf:
            break
        if all(abs(time[row] - time[other]) >= spacing and row != other for other in chosen):
            chosen.append(row)
    return chosen


def _describe(row: int, error: np.ndarray, confidence: np.ndarray, counts: np.ndarray) -> WorstFrame:
    doubt = np.where(np.isfinite(error), error, -np.inf) if np.isfinite(error).any() else -confidence
    return WorstFrame(row, float(_mean(error)), float(_mean(confidence)), int(np.nanargmax(doubt)), *map(int, counts))


def _mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean of the known values along the last axis; NaN if there is none."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), np.nan)
