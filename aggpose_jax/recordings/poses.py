"""What is found in one video, or in a set of images: the poses and the frames that they are in."""

import dataclasses

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import instance_scores


@dataclasses.dataclass(frozen=True)
class Poses:
    """Poses of N persons in F frames. A frame may have none.

    Attributes:
      keypoint_set: names of the K keypoints.
      numbers: [F] of the frames: from 0 in a video; of images as `image_numbers` says.
      times: [F] seconds since the first frame; nan for images, and where a format does not tell.
      row: [N] index of the frame of each pose, ascending.
      person: [N] number from 0 of the person in the frame; the same infant where one is followed.
      keypoints: [N, K, 3] x, y in pixels of the displayed picture, centres of pixels at whole numbers, and the score.
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
        """Which poses are those of the frame at a place from 0 to F - 1."""
        return range(*np.searchsorted(self.row, (frame, frame + 1)))

    @property
    def scores(self) -> np.ndarray:
        """[N] of the poses: the mean of the keypoint scores above 0.2, as in evaluation."""
        return instance_scores(self.keypoints[..., 2], np.ones(len(self.keypoints)))


def collect(
    keypoint_set: KeypointSet,
    times: list[float],
    found: list[np.ndarray],
    numbers: list[int] | None = None,
    files: tuple[str, ...] = (),
) -> Poses:
    """Poses from the keypoints [P, K, 3] of each of F frames."""
    counts = [len(poses) for poses in found]
    empty = np.zeros((0, len(keypoint_set), 3))
    return Poses(
        keypoint_set,
        np.arange(len(times)) if numbers is None else np.array(numbers, np.int64),
        np.array(times, np.float64),
        np.repeat(np.arange(len(times)), counts),
        np.concatenate([np.zeros(0, np.int64), *(np.arange(count) for count in counts)]),
        np.concatenate([empty, *found]),
        files,
    )
