"""Boxes that follow something through a video: what is cut out of its frames, or made unrecognisable in them."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.draw import mosaic

CELLS = 6  # of a mosaic, along each side: a face of six by six patches is nobody's


class Track:
    """The box of a video at every frame: between the frames that are listed it moves evenly, beyond them it rests.

    Args:
      rows: [n, 5] frame, x, y, width, height in pixels of the video as it is shown; frames ascend.
    """

    def __init__(self, rows: np.ndarray):
        self._frames, self._boxes = rows[:, 0], rows[:, 1:]

    def at(self, frame: int) -> np.ndarray:
        """The box [4] xywh at a frame."""
        return np.array([np.interp(frame, self._frames, side) for side in self._boxes.T])


def read_tracks(file: pathlib.Path, videos: Mapping[str, pathlib.Path]) -> dict[str, Track]:
    """Reads {"VIDEO": [[frame, x, y, width, height], …], …}.

    Raises:
      UserError: the file cannot be read, rows are not what they should be, or a video has none.
    """
    try:
        content = dict(json.loads(file.read_bytes()))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is no JSON object ({error}); give boxes by the names of the videos") from error
    return {video: _track(file, video, content.get(video, [])) for video in videos}


def _track(file: pathlib.Path, video: str, rows: object) -> Track:
    try:
        array = np.array(rows, np.float64)
    except (ValueError, TypeError):
        array = np.zeros(0)
    good = array.ndim == 2 and array.shape[1:] == (5,) and len(array) and np.isfinite(array).all()
    if not good or (np.diff(array[:, 0]) <= 0).any() or (array[:, 3:] <= 0).any():
        raise UserError(
            f"{file}: video {video} needs rows of frame, x, y, width, height, frames ascending and sides above 0"
        )
    return Track(array)


def cut(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The part of an image uint8 [H, W, 3] in a box [4] xywh; None where no pixel is in it."""
    left, top, right, bottom = _pixels(image, box)
    return image[top:bottom, left:right] if right > left and bottom > top else None


def blur(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The image with a mosaic of CELLS × CELLS patches where a box [4] xywh is; what is outside of it stays."""
    image = image.copy()
    part = cut(image, box)
    if part is not None:
        part[:] = mosaic(part, CELLS, CELLS)
    return image


def _pixels(image: np.ndarray, box: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all pixels that a box touches."""
    x, y, width, height = box
    high, wide = image.shape[:2]
    left, top = (int(np.clip(np.floor(v), 0, side)) for v, side in ((x, wide), (y, high)))
    right, bottom = (int(np.clip(np.ceil(v), 0, side)) for v, side in ((x + width, wide), (y + height, high)))
    return left, top, right, bottom
