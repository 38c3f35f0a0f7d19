"""Frames become shots, frames with the poses in them: by following one infant, or in boxes that are known."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.tracking import Tracker

Boxes = Callable[[VideoFrame], np.ndarray]  # of a frame: [P, 4] x, y, width, height in its pixels


class FramePoses(NamedTuple):
    """A frame and the poses [P, K, 3] in it."""

    frame: VideoFrame
    poses: np.ndarray


def follow(predictor: Predictor, frames: Iterable[VideoFrame]) -> Iterator[FramePoses]:
    """One infant through the frames of a video."""
    tracker = Tracker(predictor.estimate, predictor.keypoint_set, predictor.aspect)
    nobody = np.zeros((0, len(predictor.keypoint_set), 3), np.float32)
    for frame in frames:
        pose = tracker.step(frame.image)
        yield FramePoses(frame, nobody if pose is None else pose[None])


def search(predictor: Predictor, images: Iterable[VideoFrame]) -> Iterator[FramePoses]:
    """One infant in each of images that have nothing to do with each other."""
    for image in images:
        yield FramePoses(image, predictor.predict(image.image))


def look(predictor: Predictor, frames: Iterable[VideoFrame], boxes: Boxes) -> Iterator[FramePoses]:
    """The persons in the boxes of each frame. While one batch is computed, the next is cut out."""
    before = None
    for group in _groups(frames, boxes, predictor.batch_sizes[-1]):
        crops = [(frame.image, predictor.view(box)) for frame, found in group for box in found]
        finish, running = before, (group, predictor.start(crops))
        before = running
        if finish:
            yield from _shots(*finish)
    if before:
        yield from _shots(*before)


def whole(frame: VideoFrame) -> np.ndarray:
    """The box of the whole picture."""
    height, width = frame.image.shape[:2]
    return np.array([[0, 0, width, height]], np.float64)


def _groups(frames: Iterable[VideoFrame], boxes: Boxes, count: int) -> Iterator[list[tuple[VideoFrame, np.ndarray]]]:
    """Frames with their boxes, as many as fill a batch of `count` crops."""
    group = []
    for frame in frames:
        group.append((frame, boxes(frame)))
        if sum(max(len(found), 1) for _, found in group) >= count:
            yield group
            group = []
    if group:
        yield group


def _shots(group: list[tuple[VideoFrame, np.ndarray]], wait: Callable[[], np.ndarray]) -> Iterator[FramePoses]:
    poses = wait()
    ends = np.cumsum([len(found) for _, found in group])
    for (frame, found), end in zip(group, ends, strict=True):
        yield FramePoses(frame, poses[end - len(found) : end])
