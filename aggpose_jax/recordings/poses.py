"""Poses: the poses found in one video or in a set of images, with their frames."""

import dataclasses

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import instance_scores


@dataclasses.dataclass(frozen=True)
class Poses:
    """N poses in F frames. A frame may have no pose.

    Attributes:
      keypoint_set: names of the K keypoints.
      numbers: [F] numbers of the frames: counted from 0 in a video, for images as returned by
        `inference.results.image_numbers`.
      times: [F] seconds since the first frame; NaN for images, and if the file format does not store times.
      row: [N] index of each pose's frame, from 0 to F - 1, ascending.
      person: [N] number of the person within its frame, from 0; constant over time for a tracked infant.
      keypoints: [N, K, 3] x and y in pixels of the displayed image, with pixel centres at integers, and the score.
      files: F names of image files; empty for a video.
    """

    keypoint_set: KeypointSet
    numbers: np.ndarray
    times: np.ndarray
    row: np.ndarray
    person: np.ndarray
    keypoints: np.ndarray
    files: tuple[str, ...] = ()

    def rows(self, frame: int) -> range:
        """Returns the indices, from 0 to N - 1, of the poses in the frame with the index `frame`, from 0 to F - 1."""
        return range(*np.searchsorted(self.row, (frame, frame + 1)))

    @property
    def scores(self) -> np.ndarray:
        """[N] instance scores: the mean of the keypoint scores above 0.2, as in evaluation."""
        return instance_scores(self.keypoints[..., 2], np.ones(len(self.keypoints)))


def collect(
    keypoint_set: KeypointSet,
    times: list[float],
    found: list[np.ndarray],
    numbers: list[int] | None = None,
    files: tuple[str, ...] = (),
    persons: list[list[int]] | None = None,
) -> Poses:
    """Returns the poses of F frames from the keypoints of each frame.

    Args:
      keypoint_set: names of the K keypoints.
      times: F times in seconds.
      found: keypoints [P, K, 3] of each of the F frames.
      numbers: F frame numbers; None counts from 0.
      files: F names of image files; empty for a video.
      persons: numbers of the P persons of each of the F frames, rising; None counts from 0.
    """
    counts = [len(poses) for poses in found]
    empty = np.zeros((0, len(keypoint_set), 3))
    return Poses(
        keypoint_set,
        np.arange(len(times)) if numbers is None else np.array(numbers, np.int64),
        np.array(times, np.float64),
        np.repeat(np.arange(len(times)), counts),
        np.concatenate([np.zeros(0, np.int64), *(np.array(p, np.int64) for p in persons or map(range, counts))]),
        np.concatenate([empty, *found]),
        files,
    )
