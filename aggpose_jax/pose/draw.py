"""Pictures of poses: skeletons on images, heatmaps on crops, sheets of many pictures. All images are uint8 RGB."""

from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

LEFT, RIGHT, MIDDLE = (255, 140, 40), (50, 160, 255), (150, 225, 80)
OUTLINE, BACKGROUND, TEXT = (25, 25, 25), (32, 32, 34), (235, 235, 235)
SUBPIXEL_BITS = 4
GAP = 6
CAPTION = 22
LIST = 205  # width of the list of names in a chart
TILE = 160  # least width of a crop under a caption


def draw_pose(
    image: np.ndarray, keypoints: np.ndarray, keypoint_set: KeypointSet, threshold: float = 0.0
) -> np.ndarray:
    """Draws the skeleton of one person: left limbs orange, right limbs blue, what lies between green.

    Args:
      image: uint8 [H, W, 3] RGB; stays as it is.
      keypoints: [K, 3] x, y and score (or visibility) in image pixels.
      keypoint_set: that names the points and joins them to limbs.
      threshold: only points that score more are drawn, and limbs between two such points.

    Returns:
      uint8 [H, W, 3] RGB, a new image.
    """
    canvas = np.array(image, order="C")
    keypoints = np.asarray(keypoints, np.float64)
    shown = (keypoints[:, 2] > threshold) & np.isfinite(keypoints).all(axis=-1)
    thickness = _thickness(keypoints[shown, :2])
    colours = [_colour(name) for name in keypoint_set.names]
    limbs = [(a, b) for a, b in keypoint_set.skeleton if shown[a] and shown[b]]
    for border, width in ((True, thickness + 2), (False, thickness)):
        for a, b in limbs:
            colour = OUTLINE if border else _limb_colour(colours[a], colours[b])
            cv2.line(canvas, _fixed(keypoints[a]), _fixed(keypoints[b]), colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for k in np.flatnonzero(shown):
        for colour, radius in ((OUTLINE, thickness + 1.5), (TEXT, thickness + 0.5), (colours[k], thickness - 0.5)):
            radius = round(radius * 2**SUBPIXEL_BITS)
            cv2.circle(canvas, _fixed(keypoints[k]), radius, colour, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def keypoint_chart(image: np.ndarray, keypoints: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """A pose whose points carry their numbers, beside the list of their names: what a keypoint set means.

    Args:
      image: uint8 [H, W, 3] RGB, large enough for numbers: some 30 pixels a line of the list.
      keypoints: [K, 3] x, y and visibility in image pixels.
      keypoint_set: of K points.

    Returns:
      uint8 [H, W + LIST, 3] RGB.
    """
    canvas = np.pad(draw_pose(image, keypoints, keypoint_set), ((0, 0), (0, LIST), (0, 0)))
    canvas[:, image.shape[1] :] = BACKGROUND
    line = image.shape[0] / len(keypoint_set)
    for k, name in enumerate(keypoint_set.names):
        _write(canvas, str(k), keypoints[k, :2] + (6, -6), TEXT)
        _write(canvas, f"{k:2} {name.replace('_', ' ')}", (image.shape[1] + 12, (k + 0.7) * line), _colour(name))
    return canvas


def image_grid(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Lays images uint8 [h, w, 3] of any sizes out in rows of columns, each in the middle of its cell."""
    height, width = np.max([image.shape[:2] for image in images], axis=0)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), BACKGROUND, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top = GAP + row * (height + GAP) + (height - image.shape[0]) // 2
        left = GAP + column * (width + GAP) + (width - image.shape[1]) // 2
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def heatmap_grid(crop: np.ndarray, heatmaps: np.ndarray, names: Sequence[str], columns: int = 7) -> np.ndarray:
    """A sheet of the crop under each of its heatmaps, captioned with the name and the maximum (AggPose Figure 3).

    A small crop is enlarged by a whole factor, so that its captions fit.

    Args:
      crop: uint8 [H, W, 3] RGB.
      heatmaps: [h, w, K]; 0 and less is transparent, 1 and more is brightest.
      names: K names.
      columns: heatmaps in a row.

    Returns:
      uint8 [H', W', 3] RGB.
    """
    heatmaps = np.asarray(heatmaps, np.float32)
    factor = -(-TILE // crop.shape[1])
    crop = crop.repeat(factor, axis=0).repeat(factor, axis=1)
    tiles = [
        _captioned(blend_heatmap(crop, heatmaps[..., k]), f"{name.replace('_', ' ')} {heatmaps[..., k].max():.2f}")
        for k, name in enumerate(names)
    ]
    return image_grid(tiles, columns)


def blend_heatmap(crop: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """A heatmap [h, w] (0 to 1) glowing on a grey crop uint8 [H, W, 3], as in AggPose Figure 3."""
    size = np.array(heatmap.shape[::-1])
    enlarge = geometry.crop_transform((size - 1) / 2, size, crop.shape[:2])
    level = cv2.warpAffine(heatmap, enlarge, crop.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = np.clip(level, 0, 1)[..., None]
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None] * np.full(3, 0.75)
    hot = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = np.minimum(1.5 * level, 0.85)
    return (grey * (1 - opacity) + hot * opacity).astype(np.uint8)


def mosaic(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """An image uint8 [H, W, 3] as a mosaic of rows × columns patches of one colour each, at least 1 × 1, at most H × W.

    Used to make faces unrecognisable.
    """
    height, width = image.shape[:2]
    size = min(max(columns, 1), width), min(max(rows, 1), height)
    patches = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST)


def _colour(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def _limb_colour(start: tuple, end: tuple) -> tuple[int, int, int]:
    """The side of a limb that reaches from the middle to a side is that side; across the body it is the middle."""
    if start == end:
        return start
    sides = {start, end} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def _thickness(points: np.ndarray) -> int:
    """Pixels in proportion to the person, so that large and small ones look alike."""
    extent = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    return int(np.clip(round(extent / 110), 1, 6))


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """A point in OpenCV's fixed-point numbers; far outside of the image it stays in their range."""
    x, y = np.clip(point[:2], -1e5, 1e5) * 2**SUBPIXEL_BITS
    return round(float(x)), round(float(y))


def _write(canvas: np.ndarray, text: str, place: tuple[float, float], colour: tuple[int, int, int]) -> None:
    place = round(float(place[0])), round(float(place[1]))
    for border, ink in ((3, OUTLINE), (1, colour)):
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, border, cv2.LINE_AA)


def _captioned(image: np.ndarray, text: str) -> np.ndarray:
    caption = np.full((CAPTION, image.shape[1], 3), BACKGROUND, np.uint8)
    cv2.putText(caption, text, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT, 1, cv2.LINE_AA)
    return np.concatenate([caption, image])
