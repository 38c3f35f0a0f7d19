"""Reads frames of videos and images with a prefetching thread, and draws overlays."""

import math
import pathlib
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from aggpose_jax.data.images import ImageError, encode_jpeg, read_image
from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.errors import UserError
from aggpose_jax.inference.frame_poses import FramePoses
from aggpose_jax.inference.privacy import mosaic_heads
from aggpose_jax.pose import draw
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import instance_scores

DRAW_THRESHOLD = 0.2  # only keypoints with a higher score are drawn on overlays
FRAME_LINES, MAX_LINE = 220, 6  # a line is as wide as the shorter side of its frame / FRAME_LINES, in pixels
PREFETCHED = 8  # largest number of items in the queue of a prefetching thread; few, because frames are large
JPEG_QUALITY = 92
T = TypeVar("T")


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Yields the same items, which a background thread produces up to PREFETCHED items ahead.

    An exception of the iterable is raised to the consumer. The thread stops when the consumer closes this iterator.
    """
    slots: queue.Queue = queue.Queue(PREFETCHED)
    stopped = threading.Event()
    end = object()

    def put(item) -> bool:
        while not stopped.is_set():
            try:
                slots.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put((item, None)):
                    break
            else:
                put((end, None))
        except BaseException as error:
            put((end, error))
        finally:
            if hasattr(source, "close"):
                source.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = slots.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def read_images(paths: Sequence[pathlib.Path], failures: list[str]) -> Iterator[VideoFrame]:
    """Yields images, turned upright by their EXIF orientation; their time is NaN.

    Args:
      paths: image files.
      failures: list to which the error message of each unreadable file is appended.
    """
    for index, path in enumerate(paths):
        try:
            yield VideoFrame(index, float("nan"), read_image(path, upright=True))
        except ImageError as error:
            failures.append(str(error))


def draw_frame(item: FramePoses, keypoint_set: KeypointSet, mosaic: bool) -> np.ndarray:
    """Draws the skeletons of a frame on its image, after replacing the heads by a mosaic if `mosaic` is true.

    The width of the lines depends on the size of the frame only, so that it is constant in a video. Tracked persons
    have their number on them, if there are several. If one of them is lost, the full image becomes a mosaic.

    Returns:
      uint8 [H, W, 3] RGB.
    """
    image = item.frame.image
    if mosaic:
        image = mosaic_heads(image, item.poses[:0] if item.lost else item.poses, keypoint_set)
    thickness = min(max(round(min(image.shape[:2]) / FRAME_LINES), 1), MAX_LINE)
    for pose in item.poses:
        image = draw.draw_pose(image, pose, keypoint_set, DRAW_THRESHOLD, thickness)
    if item.persons and len(item.persons) + len(item.lost) > 1:
        for person, pose in zip(item.persons, item.poses, strict=True):
            _write_number(image, person, pose)
    return image


def _write_number(image: np.ndarray, person: int, pose: np.ndarray) -> None:
    """Writes the number of a person beside the middle of its pose [K, 3] onto an image uint8 [H, W, 3]."""
    scale = max(image.shape[0] / 600, 0.6)
    drawn = pose[:, 2] > DRAW_THRESHOLD
    middle = pose[drawn if drawn.any() else slice(None), :2].mean(0)
    draw.write_text(image, str(person), middle + 8 * scale, draw.TEXT, scale)


def frame_score(item: FramePoses) -> float:
    """Returns the lowest instance score of the persons in a frame; 0 if one is lost or there is none."""
    if is_lost(item):
        return 0.0
    return float(instance_scores(item.poses[..., 2], np.ones(len(item.poses))).min())


def is_lost(item: FramePoses) -> bool:
    """Returns whether a frame has no pose, or lacks one of the tracked persons."""
    return not len(item.poses) or bool(item.lost)


def caption(item: FramePoses, number: int) -> str:
    """Returns the text on a drawn frame: its number, its time, and the scores of its persons.

    Args:
      item: the frame, whose time is NaN if it is an image.
      number: of the frame or image.
    """
    scores = [f"{score:.2f}" for score in instance_scores(item.poses[..., 2], np.ones(len(item.poses)))]
    if item.persons and len(item.persons) + len(item.lost) > 1:
        by_person = dict(zip(item.persons, scores, strict=True)) | dict.fromkeys(item.lost, "lost")
        scores = [f"{person}: {text}" for person, text in sorted(by_person.items())]
    found = f"score {'  '.join(scores)}" if scores else "no pose"
    if math.isnan(item.frame.seconds):
        return f"image {number}  {found}"
    hundredths = round(100 * item.frame.seconds)
    time = f"{hundredths // 6000}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
    return f"frame {number}  {time}  {found}"


def label_frame(image: np.ndarray, text: str, lost: bool) -> np.ndarray:
    """Returns a drawn frame with its caption; red and with a red border if it is without a pose."""
    if not lost:
        return draw.add_label(image, text)
    return draw.add_label(draw.add_frame(image, draw.WARNING), text, draw.WARNING)


def write_jpeg(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes an image uint8 [H, W, 3] RGB as a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(encode_jpeg(image, JPEG_QUALITY))
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror}); free some space, or choose another --out") from error
