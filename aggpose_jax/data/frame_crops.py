"""Crops of unlabelled frames: a random region in training and the centre in evaluation, or the box of the subject."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from aggpose_jax.data.chosen_frames import ChosenFrames
from aggpose_jax.data.frames import Frames
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.data.transforms import warp
from aggpose_jax.data.views import View, draw_scale, view_transform
from aggpose_jax.pose import geometry
from aggpose_jax.pose.protocol import AGGPOSE

MAX_STRETCH = 4 / 3  # largest factor between the aspect ratios of a random crop and of the input (He et al. 2022)
MAX_ATTEMPTS = 10  # attempts to draw a random crop inside the image before the central crop is taken
SCALE, SHIFT = 0.25, 0.1  # of random crops of a box; those with which the network of the package was trained


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
    source: Frames | ChosenFrames,
    input_size: tuple[int, int],
    smallest: float = 1.0,
    flip: float = 0.0,
    has_targets: bool = False,
) -> dict[str, np.ndarray]:
    """Draws one frame of each segment and returns a batch of crops of these frames.

    If the source has boxes, crops show the padded box as in fine-tuning, in training with random scale and shift.

    Args:
      records: N segments of the source.
      generators: N random generators, which determine the frame, the region and the mirroring. None takes the central
        region, or the box, of a frame that is the same at every call.
      source: the source of the segments.
      input_size: (height, width) of the crops in pixels.
      smallest: minimum fraction of the area of the frame in a random crop; not used with boxes.
      flip: probability of mirroring a random crop.
      has_targets: whether the frames of the source have targets, which are cropped like them.

    Returns:
      image uint8 [N, H, W, 3]; target, such crops, with `has_targets`; id int32 [N] of the frames; valid float32 [N],
      1. A frame that cannot be read gives a black crop with the id of its segment and `valid` 0.
    """
    names = ("image", "target")[: 1 + has_targets]
    crops = {name: np.zeros((len(records), *input_size, 3), np.uint8) for name in names}
    ids = np.array([record["id"] for record in records], np.int32)
    valid = np.zeros(len(records), np.float32)
    for row, record in enumerate(records):
        rng = None if generators is None else generators[row]
        try:
            frame = source.draw(record, np.random.default_rng(record["id"]) if rng is None else rng)
            images = [read_image(frame[name]) for name in names]
        except ImageError:
            continue
        cut = _cutter(images[0].shape[:2], frame.get("box"), input_size, smallest, flip, rng)
        for name, image in zip(names, images, strict=True):
            crops[name][row] = cut(image)
        ids[row], valid[row] = frame["id"], 1
    return {**crops, "id": ids, "valid": valid}


def _cutter(
    image_size: tuple[int, int],
    box: np.ndarray | None,
    size: tuple[int, int],
    smallest: float,
    flip: float,
    rng: np.random.Generator | None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function that cuts one crop from images of a size: of a box [4] xywh, or of any region without one.

    The crop is random with a generator, see `make_batch`.
    """
    aspect = size[1] / size[0]
    if box is not None:
        view = View(*geometry.crop_region(box, aspect)) if rng is None else draw_box_view(box, aspect, flip, rng)
        transform = view_transform(view, image_size[1], size, AGGPOSE.convention)
        return lambda image: warp(image, transform, size)
    if rng is None:
        region, mirrored = center_region(*image_size, aspect), False
    else:
        region = random_region(*image_size, aspect, smallest, rng)
        mirrored = rng.random() < flip
    return lambda image: crop_and_resize(image, region, size)[:, :: -1 if mirrored else 1]


def draw_box_view(box: np.ndarray, aspect: float, flip: float, rng: np.random.Generator) -> View:
    """Draws a random view of the padded box [4] (x, y, width, height in pixels) of a subject.

    The view is moved by up to SHIFT of its sides and scaled by N(1, SCALE), clipped to 1 ± SCALE, as in fine-tuning.
    """
    center, size = geometry.crop_region(box, aspect)
    center = center + rng.uniform(-SHIFT, SHIFT, 2) * size
    return View(center, size * draw_scale(SCALE, rng), flipped=rng.random() < flip)
