"""Short exchanges of left and right: found, and exchanged back.

From one frame to the next both keypoints of a pair jump to where the other one was, and some frames later back. Only
such an excursion is exchanged: a single jump does not tell which side of it is wrong, and a rule that carries its
reference forward exchanges a whole film after a few wrong first frames.
"""

from collections.abc import Sequence

import numpy as np

from aggpose_jax.timeseries.timing import typical_interval

SAVING = 0.3  # torso lengths: a jump is where the exchange of a pair would shorten its two ways by more than that
LONGEST = 0.23  # seconds from entry to exit, to the nearest frame: seven frames at 30 frames per second


def find(
    position: np.ndarray, time: np.ndarray, pairs: Sequence[tuple[int, int]], length: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns bool [T, P, K]: where left and right are exchanged, and where a jump is that has no counterpart.

    Args:
      position: [T, P, K, 2] pixels; NaN where missing.
      time: [T] seconds, rising.
      pairs: indices of the keypoints that are left and right of each other.
      length: [P] torso lengths in pixels; no exchange is found where it is NaN.
    """
    swapped, unsure = np.zeros((2, *position.shape[:3]), bool)
    longest = LONGEST + typical_interval(time) / 2
    for person, scale in enumerate(length):
        for pair in map(list, pairs):
            jumps = _jumps(position[:, person, pair] / scale, time, longest)
            excursions, single = _match(jumps, time, longest)
            for entry, exit in excursions:
                swapped[entry:exit, person, pair] = True
            for jump in single:
                unsure[jump, person, pair] = True
    return swapped, unsure


def exchange(values: np.ndarray, swapped: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """Returns values [T, P, K, …] in which each keypoint has that of its counterpart where `swapped` [T, P, K].

    Args:
      values: of the keypoints.
      swapped: the result of `find`, which is the same for both keypoints of a pair.
      permutation: [K] index of the counterpart of each keypoint.
    """
    where = swapped.reshape(swapped.shape + (1,) * (values.ndim - 3))
    return np.where(where, values[:, :, permutation], values)


def _jumps(points: np.ndarray, time: np.ndarray, longest: float) -> list[int]:
    """Returns the frames at which a pair [T, 2, 2], in torso lengths, has jumped from the last frame that has both."""
    frames = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    before, after = points[frames[:-1]], points[frames[1:]]
    kept = np.linalg.norm(after - before, axis=-1).sum(axis=-1)
    exchanged = np.linalg.norm(after[:, ::-1] - before, axis=-1).sum(axis=-1)
    jumped = (kept - exchanged > SAVING) & (np.diff(time[frames]) <= longest)
    return frames[1:][jumped].tolist()


def _match(jumps: list[int], time: np.ndarray, longest: float) -> tuple[list[tuple[int, int]], list[int]]:
    """Returns the entries and exits among rising frames of jumps, and the jumps that are neither."""
    excursions, single = [], []
    while jumps:
        entry, *jumps = jumps
        if jumps and time[jumps[0]] - time[entry] <= longest:
            excursions.append((entry, jumps.pop(0)))
        else:
            single.append(entry)
    return excursions, single
