"""Which keypoints that a network has found are sure enough to be labels for training.

A network that is trained on its own mistakes learns them. A keypoint is a label only if the network is certain of it,
finds it at the same place in the mirrored image, and does not let it jump between the frames of a film. Consistency
selects labels for animals in Mu et al. 2020, "Learning from Synthetic Animals".
"""

import dataclasses

import numpy as np

# Torso lengths from which on an estimate and that of the mirrored image contradict each other: an error of that size
# counts as wrong (PCK@0.1), so that at best one of the two estimates is well inside it.
AGREEMENT = 0.1
MOVEMENT = 0.25  # torso lengths by which a keypoint may leave its neighbours in time; a fast movement moves that far
EXPECTED_ERROR = 0.1  # torso lengths that the error may be on average, where a calibration says it; as AGREEMENT
# Least score without a calibration. The expected error of the network of this package falls below EXPECTED_ERROR at
# scores from .53 to .72, depending on the keypoint; other networks are trained on the same heatmaps.
LEAST_SCORE = 0.6
USED = 0.5  # ratio of keypoints of a frame that are sure, from which on the frame is used
REASONS = ("missing", "uncertain", "differs in the mirrored image", "jumps between frames")


@dataclasses.dataclass(frozen=True)
class Selection:
    """The keypoints of T frames that are sure.

    Attributes:
      sure: bool [T, K].
      refused: int [R, K] number of frames in which a keypoint was refused for each of REASONS; a point that several
        reasons refuse counts for the first of them.
    """

    sure: np.ndarray
    refused: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """Returns bool [T]: the frames in which at least USED of the keypoints are sure."""
        used: np.ndarray = self.sure.mean(axis=1) >= USED
        return used


def select(
    keypoints: np.ndarray,
    mirrored: np.ndarray,
    torso: float | np.ndarray,
    movement: np.ndarray | None = None,
    *,
    least_score: float = LEAST_SCORE,
    expected_error: np.ndarray | None = None,
    limit: float = EXPECTED_ERROR,
) -> Selection:
    """Returns which keypoints of a network are sure.

    Args:
      keypoints: [T, K, 3] x, y and score; NaN where there is none.
      mirrored: [T, K, 3] those of the mirrored images, mapped back; their scores are not used.
      torso: length of the torso in the same units as x and y, a number or [T]; where it is NaN, nothing is sure.
      movement: [T, K] distance to the neighbours in time, see `movement_of`; NaN refuses nothing. None for stills.
      least_score: least score of a keypoint, used without `expected_error`.
      expected_error: [T, K] expected errors in torso lengths by a calibration of the network; None without one.
      limit: largest expected error.
    """
    distance = disagreement(keypoints, mirrored, torso)
    certain = keypoints[..., 2] >= least_score if expected_error is None else expected_error <= limit
    passed = np.stack([
        np.isfinite(keypoints).all(axis=-1) & np.isfinite(distance),
        certain,
        distance <= AGREEMENT,
        np.ones_like(certain) if movement is None else ~(movement > MOVEMENT),
    ])  # fmt: skip
    earlier = np.cumprod(np.concatenate([np.ones_like(passed[:1]), passed[:-1]]), axis=0).astype(bool)
    sure: np.ndarray = np.logical_and.reduce(passed, axis=0)
    return Selection(sure, (earlier & ~passed).sum(axis=1))


def disagreement(keypoints: np.ndarray, other: np.ndarray, torso: float | np.ndarray) -> np.ndarray:
    """Returns the distances [T, K] in torso lengths of two estimates [T, K, 2+]; NaN where one is missing.

    Args:
      keypoints, other: x and y of the same keypoints in the same frames.
      torso: length of the torso in the same units, a number or [T].
    """
    length = np.broadcast_to(np.asarray(torso, float), keypoints.shape[:1])[:, None]
    length = np.where(length > 0, length, np.nan)
    distance: np.ndarray = np.linalg.norm(keypoints[..., :2] - other[..., :2], axis=-1) / length
    return distance


def movement_of(keypoints: np.ndarray, torso: float | np.ndarray) -> np.ndarray:
    """Returns the distances [T, K] in torso lengths of keypoints to the mean of those in the frames before and after.

    A distance is NaN where one of the three is missing, so in the first and last frame.

    Args:
      keypoints: [T, K, 2+] x and y in all frames of a film, in order; NaN where missing.
      torso: length of the torso in the same units, a number or [T].
    """
    mean = np.full_like(keypoints[..., :2], np.nan, dtype=float)
    mean[1:-1] = (keypoints[:-2, :, :2] + keypoints[2:, :, :2]) / 2
    return disagreement(keypoints, mean, torso)
