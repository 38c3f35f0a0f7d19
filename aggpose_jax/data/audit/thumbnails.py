"""Draws what a finding is about: a person with its box and keypoints, an image, or two images side by side."""

import cv2
import numpy as np

from aggpose_jax.data.audit import Audit
from aggpose_jax.data.audit.dataset import Split, keypoint_set_of
from aggpose_jax.data.audit.findings import Finding
from aggpose_jax.data.images import ImageError, encode_jpeg, read_annotated_image, read_image
from aggpose_jax.pose import draw, geometry

SIDE = 320  # longest side in pixels
MARGIN = 0.2  # of the longer side of what is shown around a person
BEYOND = 0.25  # fraction of an image's size that is shown outside of it, where boxes or keypoints are there
QUALITY = 75  # of the JPEG files
BOX_COLOUR = (230, 60, 60)


class Thumbnails:
    """Draws the findings of an audit.

    Args:
      audit: the result of `audit_directory`.
    """

    def __init__(self, audit: Audit):
        self._directory = audit.directory
        self._splits = {split.name: split for split in audit.splits}
        self._persons = {(split.name, a["id"]): a for split in audit.splits for a in split.annotations}
        self._images = {(split.name, image["id"]): image for split in audit.splits for image in split.images}

    def draw(self, finding: Finding) -> bytes | None:
        """Returns a JPEG file of at most 320 pixels a side (two of them for a pair); None if there is no picture."""
        image = self._images.get((finding.split, finding.image_id))
        if image is None:
            return None
        split, person = self._splits[finding.split], self._persons.get((finding.split, finding.annotation_id))
        try:
            picture = _draw_image(split, image, person)
            if finding.other:
                other = _fit(read_image(self._directory / finding.other))
                picture = draw.image_grid([picture, other], columns=2)
        except (ImageError, OSError):
            return None
        return encode_jpeg(picture, QUALITY)


def _draw_image(split: Split, image: dict, person: dict | None) -> np.ndarray:
    """Returns an image, or the region of it around a person, with its box and keypoints, uint8 [h, w, 3] RGB."""
    path, size = split.folder / image["file_name"], (image["height"], image["width"])
    try:
        pixels, _ = read_annotated_image(path, size)
    except ImageError:  # The size is another one, or the image cannot be read at all.
        pixels = read_image(path)
    if person is None:
        return _fit(pixels)
    keypoints = np.array(person["keypoints"], np.float64).reshape(-1, 3)
    x, y, width, height = _region(np.array(person["bbox"], np.float64), keypoints, pixels.shape[:2])
    scale = SIDE / max(width, height)
    to_crop = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])
    shape = max(1, round(scale * width)), max(1, round(scale * height))
    crop = cv2.warpAffine(pixels, to_crop, shape, flags=cv2.INTER_LINEAR, borderValue=draw.BACKGROUND)
    left, top, box_width, box_height = person["bbox"]
    corners = geometry.apply(to_crop, np.array([(left, top), (left + box_width, top + box_height)]))
    start, end = np.clip(np.round(corners), -(10**4), 10**4).astype(int).tolist()
    cv2.rectangle(crop, start, end, BOX_COLOUR, 1, cv2.LINE_AA)
    keypoints[:, :2] = geometry.apply(to_crop, keypoints[:, :2])
    return draw.draw_pose(crop, keypoints, keypoint_set_of(split, person))


def _region(box: np.ndarray, keypoints: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Returns the region [4] x, y, width, height in pixels that shows a box [4] and the labelled keypoints [K, 3].

    It is limited to what is in the image of a size (height, width) or near it; if nothing is, it is the whole image.
    """
    points = np.concatenate([[box[:2], box[:2] + box[2:]], keypoints[keypoints[:, 2] > 0, :2]])
    margin = MARGIN * np.ptp(points, axis=0).max()
    size = np.array(image_size[::-1], np.float64)
    start = np.clip(points.min(axis=0) - margin, -BEYOND * size, (1 + BEYOND) * size)
    end = np.clip(points.max(axis=0) + margin, -BEYOND * size, (1 + BEYOND) * size)
    return np.concatenate([start, end - start] if (end - start).min() >= 2 else [np.zeros(2), size])


def _fit(pixels: np.ndarray) -> np.ndarray:
    """Returns an image uint8 [H, W, 3] reduced to a longest side of at most SIDE pixels."""
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
