"""The torso, from the middle of the hips to the middle of the shoulders: the unit, origin and direction of a series.

In torso units the middle of the hips is at the origin and that of the shoulders above it, at about (0, −1), whatever
the size, place and direction of an infant in the image; y points down, as in images.
"""

import dataclasses

import numpy as np

from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.timeseries.medians import median

CORNERS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


@dataclasses.dataclass(frozen=True)
class Torso:
    """Where the torso of each person is, in a film or, with a leading axis of T frames, in each frame.

    Attributes:
      length: [P] pixels, of the film.
      origin: [P, 2] or [T, P, 2] middle of the hips in pixels.
      angle: [P] or [T, P] radians from x to y of the direction from the hips to the shoulders.

    All are NaN without a torso.
    """

    length: np.ndarray
    origin: np.ndarray
    angle: np.ndarray


def corners(keypoint_set: KeypointSet) -> list[int] | None:
    """Returns the indices of the four keypoints of CORNERS; None if the keypoint set lacks one."""
    names = [plain(name) for name in keypoint_set.names]
    return [names.index(corner) for corner in CORNERS] if set(CORNERS) <= set(names) else None


def of_film(position: np.ndarray, keypoint_set: KeypointSet) -> Torso:
    """Returns the median length, origin and direction of the torso of each person in a film.

    Args:
      position: [T, P, K, 2] pixels; NaN where missing. Those of the network, not the cleaned ones, make the unit
        independent of the steps of cleaning.
      keypoint_set: names of the K keypoints.
    """
    hips, trunk = _middles(position, keypoint_set)
    length = median(np.linalg.norm(trunk, axis=-1), axis=0)
    return Torso(length, median(hips, axis=0), _median_angle(_angle(trunk)))


def of_frames(position: np.ndarray, keypoint_set: KeypointSet, length: np.ndarray) -> Torso:
    """Returns the origin and direction of the torso of each person in each frame, for a `length` [P] of the film."""
    hips, trunk = _middles(position, keypoint_set)
    return Torso(length, hips, _angle(trunk))


def align(position: np.ndarray, torso: Torso) -> np.ndarray:
    """Returns positions [T, P, K, 2] in torso units; NaN where the position or the torso is missing.

    Args:
      position: [T, P, K, 2] pixels.
      torso: by `of_film`, so that the movement of the trunk is retained, or by `of_frames`, so that it is removed.
    """
    turn = -np.pi / 2 - torso.angle[..., None]  # to where the shoulders are above the hips
    x, y = np.moveaxis((position - torso.origin[..., None, :]) / torso.length[:, None, None], -1, 0)
    return np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], axis=-1)


def _middles(position: np.ndarray, keypoint_set: KeypointSet) -> tuple[np.ndarray, np.ndarray]:
    """Returns the middle of the hips [T, P, 2] and the vector [T, P, 2] from it to the middle of the shoulders."""
    index = corners(keypoint_set)
    if index is None:
        missing = np.full((*position.shape[:2], 2), np.nan)
        return missing, missing
    points = position[:, :, index]
    hips = points[:, :, 2:].mean(axis=2)
    return hips, points[:, :, :2].mean(axis=2) - hips


def _angle(vector: np.ndarray) -> np.ndarray:
    return np.arctan2(vector[..., 1], vector[..., 0])


def _median_angle(angle: np.ndarray) -> np.ndarray:
    """Returns the [P] median of angles [T, P], measured from their mean direction, so that −π and π are the same."""
    towards = np.exp(1j * angle)
    mean = np.angle(np.where(np.isnan(angle), 0, towards).sum(axis=0))
    return mean + median(np.angle(towards * np.exp(-1j * mean)), axis=0)
