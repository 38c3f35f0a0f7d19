"""Frames become shots, frames with the poses in them: by following one infant, or in boxes that are known."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.videos import Frame
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.tracking import Tracker

Boxes = Callable[[Frame], np.ndarray]  # of a frame: [P, 4] x, y, width, height in its pixels


class Shot(NamedTuple):
    """A frame and the poses [P, K, 3] in it."""

    frame: Frame
    poses: np.ndarray


def follow(predictor: Predictor, frames: Iterable[Frame]) -> Iterator[Shot]:
    """One infant through the frames of a video."""
    tracker = Tracker(predictor.estimate, predictor.keypoint_set, predictor.aspect)
    nobody = np.zeros((0, len(predictor.keypoint_set), 3), np.float32)
    for frame in frames:
        pose = tracker.step(frame.image)
        yield Shot(frame, nobody if pose is None else pose[None])


def search(predictor: Predictor, images: Iterable[Frame]) -> Iterator[Shot]:
    """One infant in each of images that have nothing to do with each other."""
    for image in images:
        yield Shot(image, predictor.predict(image.image))


def look(predictor: Predictor, frames: Iterable[Frame], boxes: Boxes) -> Iterator[Shot]:
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


def whole(frame: Frame) -> np.ndarray:
    """The box of the whole picture."""
    height, width = frame.image.shape[:2]
    return np.array([[0, 0, width, height]], np.float64)


def _groups(frames: Iterable[Frame], boxes: Boxes, count: int) -> Iterator[list[tuple[Frame, np.ndarray]]]:
    """Frames with their boxes, as many as fill a batch of `count` crops."""
    group = []
    for frame in frames:
        group.append((frame, boxes(frame)))
        if sum(max(len(found), 1) for _, found in group) >= count:
            yield group
            group = []
    if group:
        yield group


def _shots(group: list[tuple[Frame, np.ndarray]], wait: Callable[[], np.ndarray]) -> Iterator[Shot]:
    poses = wait()
    ends = np.cumsum([len(found) for _, found in group])
    for (frame, found), end in zip(group, ends, strict=True):
        yield Shot(frame, poses[end - len(found) : end])
