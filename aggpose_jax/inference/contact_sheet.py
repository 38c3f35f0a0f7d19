"""A contact sheet: frames of a video, sampled evenly, and beside them those of the lowest scores."""

from typing import NamedTuple

import cv2
import numpy as np

from aggpose_jax.pose import draw

COLUMNS, LOWEST_COLUMNS, ROWS = 4, 2, 3  # of the evenly spaced frames and of those of the lowest scores
SIDE = 320  # longer side in pixels of a frame on the sheet


class _Tile(NamedTuple):
    score: float
    place: int
    image: np.ndarray


class ContactSheet:
    """Chooses frames from a video of unknown length, in bounded memory.

    The video is divided into sections of equally many frames. The first frame of each is stored, and that of its lowest
    score. Once there are twice as many sections as evenly spaced frames on the sheet, each two become one.
    """

    def __init__(self):
        self._count = COLUMNS * ROWS
        self._step = 1  # frames in a section
        self._first: list[_Tile] = []
        self._lowest: list[_Tile] = []
        self._added = 0

    def add(self, image: np.ndarray, text: str, score: float, lost: bool) -> None:
        """Adds the next frame of the video.

        Args:
          image: uint8 [H, W, 3], which is reduced in size.
          text: caption.
          score: of its persons.
          lost: True marks the frame.
        """
        starts = self._added % self._step == 0
        if starts or score < self._lowest[-1].score:
            tile = _Tile(score, self._added, _reduced(image, text, lost))
            if starts:
                self._first.append(tile)
                self._lowest.append(tile)
            else:
                self._lowest[-1] = tile
        self._added += 1
        if self._added == 2 * self._count * self._step:
            pairs = zip(self._lowest[::2], self._lowest[1::2], strict=True)
            self._lowest = [min(pair, key=lambda tile: tile.score) for pair in pairs]
            self._first, self._step = self._first[::2], 2 * self._step

    def draw(self) -> np.ndarray:
        """Returns the sheet, uint8 [H, W, 3] RGB.

        If at most COLUMNS · ROWS frames were added, it shows them all; otherwise that many, sampled evenly, and beside
        them LOWEST_COLUMNS · ROWS frames, that of the lowest score first.
        """
        tiles = len(self._first)
        chosen = np.unique(np.linspace(0, tiles - 1, min(self._count, tiles)).round().astype(int))
        even = draw.image_grid([self._first[i].image for i in chosen], COLUMNS)
        if self._added <= self._count:
            return even
        lowest = sorted(self._lowest, key=lambda tile: (tile.score, tile.place))[: LOWEST_COLUMNS * ROWS]
        grids = [even, draw.image_grid([tile.image for tile in lowest], LOWEST_COLUMNS)]
        titled = [
            draw.add_caption(grid, text) for grid, text in zip(grids, ("evenly spaced", "lowest scores"), strict=True)
        ]
        height = max(len(grid) for grid in titled)
        return np.concatenate([_padded(grid, height) for grid in titled], axis=1)


def _reduced(image: np.ndarray, text: str, lost: bool) -> np.ndarray:
    height, width = np.maximum(np.array(image.shape[:2]) * SIDE // max(image.shape[:2]), 1).tolist()
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if lost:
        small = draw.add_frame(small, draw.WARNING)
    return draw.add_caption(small, text, draw.WARNING if lost else draw.TEXT)


def _padded(image: np.ndarray, height: int) -> np.ndarray:
    """Returns an image with the background below it, up to a height."""
    below = np.full((height - len(image), *image.shape[1:]), draw.BACKGROUND, np.uint8)
    return np.concatenate([image, below])
