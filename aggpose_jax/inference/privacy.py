"""Makes heads unrecognisable in images before they are written."""

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.draw import mosaic
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import torso_length

# A keypoint is on the head if its name, split at the underscores, contains one of these words, as left_eye does.
HEAD_WORDS = ("head", "face", "forehead", "nose", "mouth", "chin", "eye", "ear")
MIN_SCORE = 0.3  # head keypoints that do not score higher are ignored
TILES = 5  # number of mosaic tiles, each of one colour, across a head


def head_points(keypoint_set: KeypointSet) -> list[int]:
    """Returns the indices of the head keypoints of a set.

    Raises:
      UserError: the set has fewer than two head keypoints, so that heads cannot be located.
    """
    points = [k for k, name in enumerate(keypoint_set.names) if set(HEAD_WORDS) & set(name.split("_"))]
    if len(points) < 2:
        raise UserError(f"mosaic: {keypoint_set.name} has fewer than two keypoints of the head, so heads cannot be "
                        "located; do not use --mosaic with this keypoint set")  # fmt: skip
    return points


def mosaic_heads(image: np.ndarray, poses: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns the image with the heads of its persons replaced by a mosaic.

    If there is no pose, or the head of a pose cannot be located, a head may be anywhere, so the full image becomes a
    mosaic.

    Args:
      image: uint8 [H, W, 3]; it is not changed.
      poses: [P, K, 3] x and y in pixels of the image, and the score.
      keypoint_set: set of K keypoints.
    """
    circles = [circle for pose in poses if (circle := head_circle(pose, keypoint_set))]
    if not circles or len(circles) < len(poses):
        side = max(image.shape[0] // (4 * TILES), 1)
        return mosaic(image, image.shape[0] // side, image.shape[1] // side)
    image = image.copy()
    for x, y, radius in circles:
        low = np.maximum([round(y - radius), round(x - radius)], 0)
        high = np.maximum([round(y + radius) + 1, round(x + radius) + 1], 0)
        region = image[low[0] : high[0], low[1] : high[1]]
        if region.size:
            side = max(round(2 * radius / TILES), 1)
            region[:] = mosaic(region, region.shape[0] // side, region.shape[1] // side)
    return image


def head_circle(pose: np.ndarray, keypoint_set: KeypointSet) -> tuple[float, float, float] | None:
    """Returns centre x, y and radius in pixels of a circle around the head of a pose [K, 3].

    Returns None if fewer than two head keypoints score above MIN_SCORE. The circle assumes that the head of an infant
    is about as long as its torso, and that its eyes are at the middle of its head.
    """
    names = keypoint_set.names
    points = [k for k in head_points(keypoint_set) if pose[k, 2] > MIN_SCORE]
    if len(points) < 2:
        return None
    spread = pose[points, :2] - pose[points, :2].mean(0)
    eyes = [k for k in points if names[k].endswith("eye")]
    center = pose[eyes or points, :2].mean(0)
    radius = 1.5 * max(np.linalg.norm(pose[points, :2] - center, axis=1).max(), np.linalg.norm(spread, axis=1).max())
    torso = torso_length(pose[None], keypoint_set)[0]
    return float(center[0]), float(center[1]), float(np.nanmax([radius, 0.6 * torso]))
