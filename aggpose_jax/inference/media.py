"""Reads frames of videos and images with a prefetching thread, and draws overlays and a contact sheet."""

import pathlib
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np

from aggpose_jax.data.images import ImageError, encode_jpeg, read_image
from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.errors import UserError
from aggpose_jax.inference.frame_poses import FramePoses
from aggpose_jax.inference.privacy import mosaic_heads
from aggpose_jax.pose.draw import draw_pose, image_grid
from aggpose_jax.pose.keypoints import KeypointSet

DRAW_THRESHOLD = 0.2  # only keypoints with a higher score are drawn on overlays
PREFETCHED = 8  # largest number of items in the queue of a prefetching thread; few, because frames are large
SHEET_COLUMNS, SHEET_ROWS, SHEET_SIDE = 4, 3, 320  # of a contact sheet; SHEET_SIDE is an image's longer side in pixels
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

    Returns:
      uint8 [H, W, 3] RGB.
    """
    image = mosaic_heads(item.frame.image, item.poses, keypoint_set) if mosaic else item.frame.image
    for pose in item.poses:
        image = draw_pose(image, pose, keypoint_set, DRAW_THRESHOLD)
    return image


def write_jpeg(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes an image uint8 [H, W, 3] RGB as a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(encode_jpeg(image, JPEG_QUALITY))
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror}); free some space, or choose another --out") from error


class ContactSheet:
    """A contact sheet: images sampled evenly from a video of unknown length, in bounded memory."""

    def __init__(self):
        self._count = SHEET_COLUMNS * SHEET_ROWS
        self._step = 1
        self._tiles: list[np.ndarray] = []
        self._added = 0

    def add(self, image: np.ndarray) -> None:
        """Adds the next image uint8 [H, W, 3] of the video; every `_step`-th one is stored, reduced in size."""
        if self._added % self._step == 0:
            height, width = np.maximum(np.array(image.shape[:2]) * SHEET_SIDE // max(image.shape[:2]), 1).tolist()
            self._tiles.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
            if len(self._tiles) == 2 * self._count:
                self._tiles, self._step = self._tiles[::2], 2 * self._step
        self._added += 1

    def draw(self) -> np.ndarray:
        """Returns the contact sheet, an image grid uint8 [H, W, 3] RGB of the added images in their order.

        If more than SHEET_COLUMNS · SHEET_ROWS images were added, it shows that many, sampled evenly.
        """
        chosen = np.unique(np.linspace(0, len(self._tiles) - 1, min(self._count, len(self._tiles))).round().astype(int))
        return image_grid([self._tiles[i] for i in chosen], SHEET_COLUMNS)
