"""Pictures in and out: frames of videos and images, with a thread that works ahead; overlays and a contact sheet."""

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

DRAWN = 0.2  # score from which on a keypoint is drawn
AHEAD = 8  # items that a thread may be ahead: frames are large
SHEET_COLUMNS, SHEET_ROWS, SHEET_SIDE = 4, 3, 320
JPEG_QUALITY = 92
T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, made by a thread of their own a few ahead of where they are used.

    An exception of the items is raised where they are used. If they are not used to the end, the thread stops.
    """
    slots: queue.Queue = queue.Queue(AHEAD)
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
    """The images of files as viewers show them, without a time; failures get a line for each that cannot be read."""
    for index, path in enumerate(paths):
        try:
            yield VideoFrame(index, float("nan"), read_image(path, upright=True))
        except ImageError as error:
            failures.append(str(error))


def draw_frame(shot: FramePoses, keypoint_set: KeypointSet, mosaic: bool) -> np.ndarray:
    """The picture of a shot with its skeletons, and with its heads in a mosaic if asked for."""
    image = mosaic_heads(shot.frame.image, shot.poses, keypoint_set) if mosaic else shot.frame.image
    for pose in shot.poses:
        image = draw_pose(image, pose, keypoint_set, DRAWN)
    return image


def write_jpeg(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes a picture uint8 [H, W, 3] RGB as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(encode_jpeg(image, JPEG_QUALITY))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room or give another --out") from error


class ContactSheet:
    """Keeps pictures that are spread evenly over a film of unknown length, in a bounded memory."""

    def __init__(self):
        self._most = SHEET_COLUMNS * SHEET_ROWS
        self._step = 1
        self._kept: list[np.ndarray] = []
        self._seen = 0

    def add(self, image: np.ndarray) -> None:
        """The next picture uint8 [H, W, 3]; one in so many is kept, reduced."""
        if self._seen % self._step == 0:
            height, width = np.maximum(np.array(image.shape[:2]) * SHEET_SIDE // max(image.shape[:2]), 1).tolist()
            self._kept.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
            if len(self._kept) == 2 * self._most:
                self._kept, self._step = self._kept[::2], 2 * self._step
        self._seen += 1

    def picture(self) -> np.ndarray:
        """The sheet uint8 [H, W, 3]."""
        chosen = np.unique(np.linspace(0, len(self._kept) - 1, min(self._most, len(self._kept))).round().astype(int))
        return image_grid([self._kept[i] for i in chosen], SHEET_COLUMNS)
