"""Frames without labels become crops: anywhere and of any size in training, the middle in evaluation."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.data.frames import Frames
from aggpose_jax.data.images import ImageError, read_image

STRETCH = 4 / 3  # most that a random crop differs from the aspect of the input, either way (He et al. 2022)
ATTEMPTS = 10  # to draw a crop that fits


def random_region(
    height: int, width: int, aspect: float, smallest: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of an image.

    Its area is a share from `smallest` to 1 of the image's, its width / height up to 4/3 from `aspect`, either way;
    where no such part is found to fit, it is that of `middle_region`.
    """
    for _ in range(ATTEMPTS):
        area = height * width * rng.uniform(smallest, 1)
        drawn = aspect * math.exp(rng.uniform(-math.log(STRETCH), math.log(STRETCH)))
        h, w = round(math.sqrt(area / drawn)), round(math.sqrt(area * drawn))
        if 0 < h <= height and 0 < w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return middle_region(height, width, aspect)


def middle_region(height: int, width: int, aspect: float) -> tuple[int, int, int, int]:
    """Top, left, height and width of the greatest part in the middle with width / height = aspect."""
    h, w = min(height, max(round(width / aspect), 1)), min(width, max(round(height * aspect), 1))
    return (height - h) // 2, (width - w) // 2, h, w


def cut(image: np.ndarray, region: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The region of an image uint8 [H, W, 3], resized to (height, width)."""
    top, left, h, w = region
    shrinks = h > size[0]
    return cv2.resize(
        image[top : top + h, left : left + w],
        (size[1], size[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )


def make_batch(
    records: Sequence[dict],
    generators: Sequence[np.random.Generator] | None = None,
    *,
    source: Frames,
    input_size: tuple[int, int],
    smallest: float = 1.0,
    flip: float = 0.0,
) -> dict[str, np.ndarray]:
    """Draws a frame of each segment and returns crops of them as a batch.

    Args:
      records: N segments of the source.
      generators: sources of randomness for the frame, region and mirroring of each; None takes the middle of a frame
        that is always the same.
      source: of the segments.
      input_size: (height, width) of the crops.
      smallest: least fraction of the frame's area in a random crop.
      flip: probability of mirroring a random crop.

    Returns:
      image uint8 [N, H, W, 3], id int32 [N] of the frame, valid float32 [N], 1. A frame that cannot be read gives a
      black crop with the id of its segment whose `valid` is 0.
    """
    crops = np.zeros((len(records), *input_size, 3), np.uint8)
    ids = np.array([record["id"] for record in records], np.int32)
    valid = np.zeros(len(records), np.float32)
    for row, record in enumerate(records):
        try:
            if generators is None:
                frame = source.draw(record, np.random.default_rng(record["id"]))
                crops[row] = _middle(read_image(frame["image"]), input_size)
            else:
                frame = source.draw(record, generators[row])
                crops[row] = _random(read_image(frame["image"]), input_size, smallest, flip, generators[row])
        except ImageError:
            continue
        ids[row], valid[row] = frame["id"], 1
    return {"image": crops, "id": ids, "valid": valid}


def _middle(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cut(image, middle_region(*image.shape[:2], size[1] / size[0]), size)


def _random(
    image: np.ndarray, size: tuple[int, int], smallest: float, flip: float, rng: np.random.Generator
) -> np.ndarray:
    crop = cut(image, random_region(*image.shape[:2], size[1] / size[0], smallest, rng), size)
    return crop[:, ::-1] if rng.random() < flip else crop
