"""Heads are made unrecognisable in every picture that is written."""

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.draw import mosaic
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import torso_length

PARTS = ("head", "face", "forehead", "nose", "mouth", "chin", "eye", "ear")  # words in names of points of a head
SURE = 0.3  # score of a head's point that counts
TILES = 5  # across a head


def head_points(keypoint_set: KeypointSet) -> list[int]:
    """Indices of the points of the head.

    Raises:
      UserError: the set has fewer than two.
    """
    points = [k for k, name in enumerate(keypoint_set.names) if set(PARTS) & set(name.split("_"))]
    if len(points) < 2:
        raise UserError(f"mosaic: {keypoint_set.name} has fewer than two points of a head; a head cannot be found")
    return points


def mosaic_heads(image: np.ndarray, poses: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """The picture with the heads of its persons in a mosaic.

    Where there is no pose, or one whose head is not sure, the whole picture becomes a mosaic: a head may be anywhere.

    Args:
      image: uint8 [H, W, 3]; stays as it is.
      poses: [P, K, 3] in its pixels.
      keypoint_set: of K points.
    """
    circles = [head_circle(pose, keypoint_set) for pose in poses]
    if not circles or None in circles:
        side = max(image.shape[0] // (4 * TILES), 1)
        return mosaic(image, image.shape[0] // side, image.shape[1] // side)
    image = image.copy()
    for x, y, radius in circles:
        low = np.maximum([round(y - radius), round(x - radius)], 0)
        high = np.maximum([round(y + radius) + 1, round(x + radius) + 1], 0)
        part = image[low[0] : high[0], low[1] : high[1]]
        if part.size:
            side = max(round(2 * radius / TILES), 1)
            part[:] = mosaic(part, part.shape[0] // side, part.shape[1] // side)
    return image


def head_circle(pose: np.ndarray, keypoint_set: KeypointSet) -> tuple[float, float, float] | None:
    """x, y and radius in pixels of a circle round the head of a pose [K, 3]; None if fewer than two points are sure.

    An infant's head is about as long as its torso, and its eyes are in its middle.
    """
    names = keypoint_set.names
    points = [k for k in head_points(keypoint_set) if pose[k, 2] > SURE]
    if len(points) < 2:
        return None
    spread = pose[points, :2] - pose[points, :2].mean(0)
    eyes = [k for k in points if names[k].endswith("eye")]
    center = pose[eyes or points, :2].mean(0)
    radius = 1.5 * max(np.linalg.norm(pose[points, :2] - center, axis=1).max(), np.linalg.norm(spread, axis=1).max())
    torso = torso_length(pose[None], keypoint_set)[0]
    return float(center[0]), float(center[1]), float(np.nanmax([radius, 0.6 * torso]))
