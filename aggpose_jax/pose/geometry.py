"""Boxes, crops and the affine transforms between an image and its crops.

Points are (x, y) with pixel centres at integer coordinates, boxes are (x, y, width, height), sizes of arrays are
(height, width). A transform is a [2, 3] float64 matrix that acts on column vectors (x, y, 1).
"""

import math
from collections.abc import Sequence

import numpy as np

CONVENTIONS = ("unbiased", "hrnet")
PERSON_AREA_RATIO = 0.53  # person area / area of its tight box, for persons without a mask


def clip_box(box: np.ndarray, image_size: tuple[int, int]) -> np.ndarray | None:
    """Clips an annotated box to the pixels of its image, as COCO pose training does.

    Args:
      box: [4] x, y, width, height in image pixels.
      image_size: (height, width) of the image.

    Returns:
      [4] float64 box between the centres of its corner pixels, or None if the box lies outside of the image.
    """
    position, side = np.asarray(box, np.float64).reshape(2, 2)
    last_pixel = np.array([image_size[1] - 1, image_size[0] - 1])
    start = np.maximum(position, 0)
    end = np.minimum(last_pixel, start + np.maximum(side - 1, 0))
    return None if (end < start).any() else np.concatenate([start, end - start])


def estimate_area(keypoints: np.ndarray) -> float:
    """Estimates the area of a person without a mask as 0.53 × the area of the tight box around its labelled points.

    OKS needs an area, and this is the convention of pose benchmarks without masks.

    Args:
      keypoints: [K, 3] x, y, visibility in image pixels.

    Returns:
      The area in square pixels; 0 if no point is labelled.
    """
    keypoints = np.asarray(keypoints, np.float64)
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    return PERSON_AREA_RATIO * float(np.prod(np.ptp(labelled, axis=0))) if len(labelled) else 0.0


def crop_region(
    box: np.ndarray, aspect: float, padding: float = 1.25, pixel_center: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the region that is cropped for a box.

    The shorter side of the box is extended to the aspect ratio, and both sides are then multiplied by the padding.

    Args:
      box: [..., 4] x, y, width, height in image pixels. A side below 2 pixels counts as 2.
      aspect: width / height of the crop.
      padding: factor by which both sides are multiplied.
      pixel_center: the centre is x + (width - 1) / 2 instead of x + width / 2, and y likewise.

    Returns:
      centre [..., 2] and size [..., 2] (width, height), float64, in image pixels.
    """
    box = np.asarray(box, np.float64)
    center = box[..., :2] + (box[..., 2:] - pixel_center) / 2
    sides = np.maximum(box[..., 2:], 2)
    grown = np.maximum(sides, sides[..., ::-1] * (aspect, 1) / (1, aspect))
    return center, grown * padding


def crop_transform(
    center: np.ndarray | Sequence[float],
    size: np.ndarray | Sequence[float],
    output_size: tuple[int, int],
    rotation: float = 0.0,
    convention: str = "unbiased",
) -> np.ndarray:
    """Returns the transform from image pixels to the pixels of a crop (or of a heatmap).

    Args:
      center: [2] centre of the region in image pixels.
      size: [2] (width, height) of the region in image pixels; only the width determines the scale.
      output_size: (height, width) of the crop.
      rotation: degrees by which the content is rotated counter-clockwise on screen.
      convention: "unbiased" maps distances between pixel centres (UDP, Huang et al. 2020);
        "hrnet" maps numbers of pixels (HRNet, Sun et al. 2019), with an error of half a pixel after flipping.

    Returns:
      [2, 3] float64 transform.
    """
    # Python numbers instead of arrays: for such small arrays, NumPy's overhead exceeds the cost of the arithmetic.
    height, width = output_size
    if convention == "unbiased":
        x, y, factor = (width - 1) / 2, (height - 1) / 2, (width - 1) / (float(size[0]) - 1)
    elif convention == "hrnet":
        x, y, factor = width / 2, height / 2, width / float(size[0])
    else:
        raise ValueError(f"convention must be one of {CONVENTIONS}, but is {convention!r}")
    center_x, center_y = float(center[0]), float(center[1])
    sine, cosine = factor * math.sin(math.radians(rotation)), factor * math.cos(math.radians(rotation))
    return np.array([
        [cosine, sine, x - cosine * center_x - sine * center_y],
        [-sine, cosine, y + sine * center_x - cosine * center_y],
    ])  # fmt: skip


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns points [..., 2] transformed by a transform [2, 3]."""
    transformed: np.ndarray = np.asarray(points) @ transform[:, :2].T + transform[:, 2]
    return transformed


def invert(transform: np.ndarray) -> np.ndarray:
    """Returns the inverse [2, 3] of a transform [2, 3]."""
    (a, b, x), (c, d, y) = transform.tolist()
    det = a * d - b * c
    inverse: np.ndarray = np.array([[d, -b, b * y - d * x], [-c, a, c * x - a * y]]) / det
    return inverse


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the [2, 3] transform that applies first and then second: apply(second, apply(first, points))."""
    composed: np.ndarray = second[:, :2] @ first
    composed[:, 2] += second[:, 2]
    return composed


def mirror(width: int) -> np.ndarray:
    """Returns the [2, 3] transform that mirrors an image of a width in pixels horizontally: x becomes width - 1 - x."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])
