"""Crops of unlabelled frames: random position, size and aspect ratio in training, the centre in evaluation."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.data.frames import Frames
from aggpose_jax.data.images import ImageError, read_image

MAX_STRETCH = 4 / 3  # largest factor between the aspect ratios of a random crop and of the input (He et al. 2022)
MAX_ATTEMPTS = 10  # attempts to draw a random crop inside the image before the central crop is taken


def random_region(
    height: int, width: int, aspect: float, smallest: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of a random region of an image, in pixels.

    Its area is a fraction between `smallest` and 1 of the area of the image. Its aspect ratio width / height differs
    from `aspect` by a factor of at most 4/3 in either direction. If MAX_ATTEMPTS draws give no region that lies inside
    the image, the result is `center_region`.
    """
    for _ in range(MAX_ATTEMPTS):
        area = height * width * rng.uniform(smallest, 1)
        ratio = aspect * math.exp(rng.uniform(-math.log(MAX_STRETCH), math.log(MAX_STRETCH)))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return center_region(height, width, aspect)


def center_region(height: int, width: int, aspect: float) -> tuple[int, int, int, int]:
    """Returns top, left, height and width of the largest central region with width / height = aspect, in pixels."""
    h, w = min(height, max(round(width / aspect), 1)), min(width, max(round(height * aspect), 1))
    return (height - h) // 2, (width - w) // 2, h, w


def crop_and_resize(image: np.ndarray, region: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Returns a region (top, left, height, width) of an image uint8 [H, W, 3], resized to size (height, width)."""
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
    """Draws one frame of each segment and returns a batch of crops of these frames.

    Args:
      records: N segments of the source.
      generators: N random generators, which determine the frame, the region and the mirroring. None takes the central
        region of a frame that is the same at every call.
      source: the source of the segments.
      input_size: (height, width) of the crops in pixels.
      smallest: minimum fraction of the area of the frame in a random crop.
      flip: probability of mirroring a random crop.

    Returns:
      image uint8 [N, H, W, 3]; id int32 [N] of the frames; valid float32 [N], 1. A frame that cannot be read gives a
      black crop with the id of its segment and `valid` 0.
    """
    crops = np.zeros((len(records), *input_size, 3), np.uint8)
    ids = np.array([record["id"] for record in records], np.int32)
    valid = np.zeros(len(records), np.float32)
    for row, record in enumerate(records):
        try:
            if generators is None:
                frame = source.draw(record, np.random.default_rng(record["id"]))
                crops[row] = _center_crop(read_image(frame["image"]), input_size)
            else:
                frame = source.draw(record, generators[row])
                crops[row] = _random_crop(read_image(frame["image"]), input_size, smallest, flip, generators[row])
        except ImageError:
            continue
        ids[row], valid[row] = frame["id"], 1
    return {"image": crops, "id": ids, "valid": valid}


def _center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[:2]
    return crop_and_resize(image, center_region(height, width, size[1] / size[0]), size)


def _random_crop(
    image: np.ndarray, size: tuple[int, int], smallest: float, flip: float, rng: np.random.Generator
) -> np.ndarray:
    height, width = image.shape[:2]
    crop = crop_and_resize(image, random_region(height, width, size[1] / size[0], smallest, rng), size)
    return crop[:, ::-1] if rng.random() < flip else crop
