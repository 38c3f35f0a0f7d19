"""Boxes that follow an object through a video: regions to which its frames are cropped, or that are pixelated."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.draw import mosaic

CELLS = 6  # patches of a pixelated box along each side; a face in 6 × 6 patches cannot be recognised


class Track:
    """The box of a video at every frame: interpolated linearly between the listed frames and constant outside them.

    Args:
      rows: [n, 5] frame, x, y, width, height in pixels of the video as displayed, in ascending order of frames.
    """

    def __init__(self, rows: np.ndarray):
        self._frames, self._boxes = rows[:, 0], rows[:, 1:]

    @property
    def last(self) -> int:
        """The number of the last listed frame."""
        return int(self._frames[-1])

    def at(self, frame: int) -> np.ndarray:
        """Returns the box [4] (x, y, width, height in pixels) at the frame with this number, from 0."""
        return np.array([np.interp(frame, self._frames, side) for side in self._boxes.T])


def read_tracks(file: pathlib.Path, videos: Mapping[str, pathlib.Path]) -> dict[str, Track]:
    """Reads a JSON file {"VIDEO": [[frame, x, y, width, height], …], …} and returns the track of each of the videos.

    Raises:
      UserError: the file cannot be read, its rows are invalid, or it has no rows for one of the videos.
    """
    try:
        content = dict(json.loads(file.read_bytes()))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is not a JSON object ({error}); give boxes by video name") from error
    return {video: _track(file, video, content.get(video, [])) for video in videos}


def _track(file: pathlib.Path, video: str, rows: object) -> Track:
    try:
        array = np.array(rows, np.float64)
    except (ValueError, TypeError):
        array = np.zeros(0)
    valid = array.ndim == 2 and array.shape[1:] == (5,) and len(array) and np.isfinite(array).all()
    if not valid or (np.diff(array[:, 0]) <= 0).any() or (array[:, 3:] <= 0).any():
        raise UserError(
            f"{file}: video {video} has no valid boxes; give rows [frame, x, y, width, height] with ascending frames "
            "and positive widths and heights"
        )
    return Track(array)


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Returns a view of the part of an image uint8 [H, W, 3] inside a box [4] xywh; None if it contains no pixel."""
    left, top, right, bottom = _pixel_bounds(image, box)
    return image[top:bottom, left:right] if right > left and bottom > top else None


def pixelate(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Returns a copy of an image in which a box [4] xywh shows a mosaic of CELLS × CELLS patches."""
    image = image.copy()
    inside = crop(image, box)
    if inside is not None:
        inside[:] = mosaic(inside, CELLS, CELLS)
    return image


def _pixel_bounds(image: np.ndarray, box: np.ndarray) -> tuple[int, int, int, int]:
    """Returns left, top, right, bottom of the image pixels that a box [4] xywh touches; the last two are exclusive."""
    x, y, width, height = box
    image_height, image_width = image.shape[:2]
    left, top = (int(np.clip(np.floor(v), 0, limit)) for v, limit in ((x, image_width), (y, image_height)))
    right, bottom = (
        int(np.clip(np.ceil(v), 0, limit)) for v, limit in ((x + width, image_width), (y + height, image_height))
    )
    return left, top, right, bottom
