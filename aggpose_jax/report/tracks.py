"""The tracks of the principal person of a series, in the unit in which charts show them."""

import dataclasses

import numpy as np

from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.timeseries import torso
from aggpose_jax.timeseries.body_checks import principal
from aggpose_jax.timeseries.series import Series

ENDS = ("left_wrist", "right_wrist", "left_ankle", "right_ankle")


@dataclasses.dataclass(frozen=True)
class Tracks:
    """The K keypoints of one person in T frames.

    Attributes:
      names: of the keypoints, in plain words.
      time: [T] seconds.
      position: [T, K, 2] in `unit`; NaN where missing.
      error: [T, K] expected error in torso lengths; NaN where the position is missing or the error is unknown.
      unit: "torso lengths", or "pixels" of a film without a torso.
      skeleton: pairs of indices of keypoints that limbs join.
      ends: indices of wrists and ankles, or of the first four keypoints of a set without these.
    """

    names: tuple[str, ...]
    time: np.ndarray
    position: np.ndarray
    error: np.ndarray
    unit: str
    skeleton: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]


def of(series: Series) -> Tracks:
    """Returns the tracks of the principal person of a series."""
    recording, person = series.recording, principal(series)
    keypoint_set = recording.keypoint_set
    film = torso.of_film(recording.position, keypoint_set)
    in_torso = bool(film.length[person] > 0)
    position = (torso.align(series.position, film) if in_torso else series.position)[:, person]
    known = np.isfinite(position).all(axis=-1)
    plain_names = [plain(name) for name in keypoint_set.names]
    ends = tuple(plain_names.index(name) for name in ENDS if name in plain_names)
    return Tracks(
        names=tuple(name.replace("_", " ") for name in keypoint_set.names),
        time=recording.time,
        position=position,
        error=np.where(known, series.expected_error[:, person], np.nan),
        unit="torso lengths" if in_torso else "pixels",
        skeleton=keypoint_set.skeleton,
        ends=ends or tuple(range(min(len(plain_names), 4))),
    )
