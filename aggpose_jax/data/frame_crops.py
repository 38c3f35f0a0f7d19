"""A frame without labels becomes a crop: anywhere and of any size in training, the middle in evaluation."""

import math

import cv2
import numpy as np

from aggpose_jax.data.images import read_image

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


def make_crop(
    frame: dict,
    input_size: tuple[int, int],
    *,
    smallest: float = 1.0,
    flip: float = 0.0,
    rng: np.random.Generator | None = None,
) -> dict[str, np.ndarray]:
    """The example of a frame.

    Args:
      frame: with image and id, as a source of `frames` draws it.
      input_size: height and width of the crop.
      smallest: least share of the frame in a random crop.
      flip: probability of mirroring.
      rng: source of chance; None cuts the middle.

    Returns:
      image uint8 [H, W, 3], id int32 (), valid float32 (), 1.

    Raises:
      ImageError: the image cannot be read.
    """
    image = read_image(frame["image"])
    aspect = input_size[1] / input_size[0]
    if rng is None:
        crop = cut(image, middle_region(*image.shape[:2], aspect), input_size)
    else:
        crop = cut(image, random_region(*image.shape[:2], aspect, smallest, rng), input_size)
        if rng.random() < flip:
            crop = np.ascontiguousarray(crop[:, ::-1])
    return {"image": crop, "id": np.int32(frame["id"]), "valid": np.float32(1)}


def blank_crop(record: dict, input_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What stands for a frame that cannot be read: the fields of `make_crop`, black and not valid."""
    return {"image": np.zeros((*input_size, 3), np.uint8), "id": np.int32(record["id"]), "valid": np.float32(0)}
