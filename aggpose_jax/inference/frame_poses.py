"""Estimates the poses in frames: by tracking infants, by searching each image, or in given boxes."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.several import SeveralTracker, find_infants, has_second_infant
from aggpose_jax.inference.tracking import Tracker

SECOND_INFANT_INTERVAL = 10.0  # seconds; a search takes as long as the tracking of about 20 frames
Boxes = Callable[[VideoFrame], np.ndarray]  # from a frame to [P, 4]: x, y, width, height in pixels of the frame


class FramePoses(NamedTuple):
    """A frame and the P poses in it.

    Attributes:
      frame: the frame.
      poses: [P, K, 3] x and y in pixels, and the score.
      persons: numbers of the P persons, which rise and are constant over time; None counts from 0.
      lost: numbers of the persons who are searched for or tracked, but were not found in this frame.
      second: whether there is another infant beside the one who is tracked; None if this frame was not searched for it.
    """

    frame: VideoFrame
    poses: np.ndarray
    persons: tuple[int, ...] | None = None
    lost: tuple[int, ...] = ()
    second: bool | None = None


class SecondInfant:
    """Counts the frames that were searched for a second infant.

    Attributes:
      searched: number of these frames.
      found: number of those in which there was one.
    """

    def __init__(self) -> None:
        self.searched = self.found = 0

    def count(self, items: Iterable[FramePoses]) -> Iterator[FramePoses]:
        """Yields the items and counts them."""
        for item in items:
            if item.second is not None:
                self.searched += 1
                self.found += item.second
            yield item


def track_video(predictor: Predictor, frames: Iterable[VideoFrame], persons: int = 1) -> Iterator[FramePoses]:
    """Tracks infants through the frames of a video; a frame has the poses of those who are found.

    If one infant is tracked, a frame in SECOND_INFANT_INTERVAL is searched for another one, who is not tracked.

    Args:
      predictor: trained network.
      frames: of the video, in order.
      persons: number of infants.
    """
    settings = predictor.estimate, predictor.keypoint_set, predictor.aspect
    no_poses = np.zeros((0, len(predictor.keypoint_set), 3), np.float32)
    if persons == 1:
        tracker, next_search = Tracker(*settings), -math.inf
        for frame in frames:
            pose, second = tracker.step(frame.image), None
            if pose is not None and tracker.view and frame.seconds >= next_search:
                second = has_second_infant(frame.image, *settings, pose, tracker.view)
                next_search = frame.seconds + SECOND_INFANT_INTERVAL
            yield FramePoses(frame, no_poses if pose is None else pose[None], second=second)
        return
    group = SeveralTracker(*settings, persons)
    for frame in frames:
        found = {person: pose for person, pose in enumerate(group.step(frame.image)) if pose is not None}
        lost = tuple(person for person in range(persons) if person not in found)
        yield FramePoses(frame, np.stack([*found.values()]) if found else no_poses, tuple(found), lost)


def find_in_images(predictor: Predictor, images: Iterable[VideoFrame], persons: int = 1) -> Iterator[FramePoses]:
    """Searches for up to `persons` infants in each of several independent images; yields their poses, left to right."""
    settings = predictor.estimate, predictor.keypoint_set, predictor.aspect
    for image in images:
        if persons == 1:
            yield FramePoses(image, predictor.predict(image.image))
        else:
            poses = [one.keypoints for one in find_infants(image.image, *settings, persons)]
            found = np.reshape(poses, (-1, len(predictor.keypoint_set), 3))
            yield FramePoses(image, found, tuple(range(len(found))), tuple(range(len(found), persons)))


def estimate_in_boxes(predictor: Predictor, frames: Iterable[VideoFrame], boxes: Boxes) -> Iterator[FramePoses]:
    """Estimates one pose per box of each frame. While the device computes a batch, the host cuts the next crops."""
    previous = None
    for group in _groups(frames, boxes, predictor.batch_sizes[-1]):
        crops = [(frame.image, predictor.view(box)) for frame, found in group for box in found]
        finished, running = previous, (group, predictor.start(crops))
        previous = running
        if finished:
            yield from _collect(*finished)
    if previous:
        yield from _collect(*previous)


def full_image(frame: VideoFrame) -> np.ndarray:
    """Returns one box [1, 4] (x, y, width, height in pixels) that covers the full image of a frame."""
    height, width = frame.image.shape[:2]
    return np.array([[0, 0, width, height]], np.float64)


def _groups(frames: Iterable[VideoFrame], boxes: Boxes, count: int) -> Iterator[list[tuple[VideoFrame, np.ndarray]]]:
    """Yields groups of frames with their boxes; each group but the last has enough boxes for a batch of `count` crops.

    A frame without boxes counts as one box, which bounds the number of frames in memory.
    """
    group = []
    for frame in frames:
        group.append((frame, boxes(frame)))
        if sum(max(len(found), 1) for _, found in group) >= count:
            yield group
            group = []
    if group:
        yield group


def _collect(group: list[tuple[VideoFrame, np.ndarray]], wait: Callable[[], np.ndarray]) -> Iterator[FramePoses]:
    poses = wait()
    ends = np.cumsum([len(found) for _, found in group])
    for (frame, found), end in zip(group, ends, strict=True):
        yield FramePoses(frame, poses[end - len(found) : end])
