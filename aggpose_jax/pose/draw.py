"""Draws poses: skeletons on images, heatmaps on crops, and grids of images. All images are uint8 RGB."""

from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

Colour = tuple[int, int, int]  # RGB, each 0 to 255

LEFT, RIGHT, MIDDLE = (255, 140, 40), (50, 160, 255), (150, 225, 80)
OUTLINE, BACKGROUND, TEXT, WARNING = (25, 25, 25), (32, 32, 34), (235, 235, 235), (255, 80, 70)
SUBPIXEL_BITS = 4
GAP = 6  # width in pixels of the gaps between the images of an image grid
CAPTION_HEIGHT = 22
LIST_WIDTH = 205  # width in pixels of the list of keypoint names in a keypoint chart
MIN_TILE_WIDTH = 160  # smallest width in pixels of a crop under a caption; narrower crops are enlarged


def draw_pose(
    image: np.ndarray,
    keypoints: np.ndarray,
    keypoint_set: KeypointSet,
    threshold: float = 0.0,
    thickness: int | None = None,
) -> np.ndarray:
    """Draws the skeleton of one person: left limbs orange, right limbs blue, central limbs green.

    Args:
      image: uint8 [H, W, 3] RGB; is not modified.
      keypoints: [K, 3] x, y and score (or visibility) in image pixels.
      keypoint_set: names of the K points and the pairs of points that are joined by limbs.
      threshold: only points with a greater score, and limbs between two such points, are drawn.
      thickness: width of a limb in pixels; None takes one in proportion to the extent of the person.

    Returns:
      uint8 [H, W, 3] RGB, a new image.
    """
    canvas = np.array(image, order="C")
    keypoints = np.asarray(keypoints, np.float64)
    is_drawn = (keypoints[:, 2] > threshold) & np.isfinite(keypoints).all(axis=-1)
    thickness = thickness or _thickness(keypoints[is_drawn, :2])
    colours = [_colour(name) for name in keypoint_set.names]
    limbs = [(a, b) for a, b in keypoint_set.skeleton if is_drawn[a] and is_drawn[b]]
    for border, width in ((True, thickness + 2), (False, thickness)):
        for a, b in limbs:
            colour = OUTLINE if border else _limb_colour(colours[a], colours[b])
            cv2.line(canvas, _fixed(keypoints[a]), _fixed(keypoints[b]), colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for k in np.flatnonzero(is_drawn):
        for colour, radius in ((OUTLINE, thickness + 1.5), (TEXT, thickness + 0.5), (colours[k], thickness - 0.5)):
            radius = round(radius * 2**SUBPIXEL_BITS)
            cv2.circle(canvas, _fixed(keypoints[k]), radius, colour, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def keypoint_chart(image: np.ndarray, keypoints: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Draws a pose with numbered points next to the list of the numbers and names, to explain a keypoint set.

    Args:
      image: uint8 [H, W, 3] RGB, with a height of about 30 pixels per line of the list.
      keypoints: [K, 3] x, y and visibility in image pixels.
      keypoint_set: the set of the K points.

    Returns:
      uint8 [H, W + LIST_WIDTH, 3] RGB.
    """
    canvas = np.pad(draw_pose(image, keypoints, keypoint_set), ((0, 0), (0, LIST_WIDTH), (0, 0)))
    canvas[:, image.shape[1] :] = BACKGROUND
    line = image.shape[0] / len(keypoint_set)
    for k, name in enumerate(keypoint_set.names):
        write_text(canvas, str(k), keypoints[k, :2] + (6, -6), TEXT)
        write_text(canvas, f"{k:2} {name.replace('_', ' ')}", (image.shape[1] + 12, (k + 0.7) * line), _colour(name))
    return canvas


def image_grid(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Returns a grid, with a number of columns, of images uint8 [h, w, 3] of any sizes, each centred in its cell."""
    height, width = np.max([image.shape[:2] for image in images], axis=0)
    rows = -(-len(images) // columns)
    grid = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), BACKGROUND, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top = GAP + row * (height + GAP) + (height - image.shape[0]) // 2
        left = GAP + column * (width + GAP) + (width - image.shape[1]) // 2
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def heatmap_grid(crop: np.ndarray, heatmaps: np.ndarray, names: Sequence[str], columns: int = 7) -> np.ndarray:
    """Returns an image grid of the crop overlaid with each of its heatmaps (AggPose Figure 3).

    The captions are the keypoint's name and the maximum. A small crop is enlarged by an integer factor, so that its
    captions fit.

    Args:
      crop: uint8 [H, W, 3] RGB.
      heatmaps: [h, w, K]; values of 0 and less are transparent, values of 1 and more are brightest.
      names: names of the K keypoints.
      columns: number of heatmaps in a row.

    Returns:
      uint8 [H', W', 3] RGB.
    """
    heatmaps = np.asarray(heatmaps, np.float32)
    factor = -(-MIN_TILE_WIDTH // crop.shape[1])
    crop = crop.repeat(factor, axis=0).repeat(factor, axis=1)
    tiles = [
        add_caption(blend_heatmap(crop, heatmaps[..., k]), f"{name.replace('_', ' ')} {heatmaps[..., k].max():.2f}")
        for k, name in enumerate(names)
    ]
    return image_grid(tiles, columns)


def add_caption(image: np.ndarray, text: str, colour: Colour = TEXT) -> np.ndarray:
    """Returns an image uint8 [H, W, 3] below a line of text [CAPTION_HEIGHT, W, 3]; a long text is written smaller."""
    caption = np.full((CAPTION_HEIGHT, image.shape[1], 3), BACKGROUND, np.uint8)
    scale = _fitting(text, 0.4, image.shape[1] - 8)
    cv2.putText(caption, text, (4, CAPTION_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return np.concatenate([caption, image])


def add_label(image: np.ndarray, text: str, colour: Colour = TEXT) -> np.ndarray:
    """Returns a copy of an image uint8 [H, W, 3] with an outlined text in its upper left corner, in scale with it."""
    canvas = np.array(image, order="C")
    scale = _fitting(text, max(image.shape[0] / 900, 0.4), image.shape[1] - 12)
    write_text(canvas, text, (6, 26 * scale + 4), colour, scale)
    return canvas


def add_frame(image: np.ndarray, colour: Colour) -> np.ndarray:
    """Returns a copy of an image uint8 [H, W, 3] with a border of a colour, drawn over its edges."""
    canvas = np.array(image, order="C")
    width = max(min(canvas.shape[:2]) // 60, 2)
    for edge in (canvas[:width], canvas[-width:], canvas[:, :width], canvas[:, -width:]):
        edge[:] = colour
    return canvas


def write_text(
    canvas: np.ndarray, text: str, position: np.ndarray | tuple[float, float], colour: Colour, scale: float = 0.5
) -> None:
    """Writes an outlined text onto an image uint8 [H, W, 3].

    Args:
      canvas: the image, which is modified.
      text: of characters in ASCII, the only ones that OpenCV's font has.
      position: x and y of the left end of the baseline in pixels.
      colour: of the text.
      scale: size of the text; capital letters are 22 · scale pixels high.
    """
    position = round(float(np.clip(position[0], -1e5, 1e5))), round(float(np.clip(position[1], -1e5, 1e5)))
    stroke = max(round(2 * scale), 1)
    for width, text_colour in ((stroke + 2, OUTLINE), (stroke, colour)):
        cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, text_colour, width, cv2.LINE_AA)


def blend_heatmap(crop: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Returns the crop uint8 [H, W, 3] in grey, overlaid with a heatmap [h, w] of 0 to 1, as in AggPose Figure 3."""
    size = np.array(heatmap.shape[::-1])
    to_crop = geometry.crop_transform((size - 1) / 2, size, crop.shape[:2])
    level = cv2.warpAffine(heatmap, to_crop, crop.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = np.clip(level, 0, 1)[..., None]
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None] * np.full(3, 0.75)
    coloured = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = np.minimum(1.5 * level, 0.85)
    blended: np.ndarray = (grey * (1 - opacity) + coloured * opacity).astype(np.uint8)
    return blended


def mosaic(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns an image uint8 [H, W, 3] pixelated to rows × columns patches of one colour each.

    The numbers of patches are limited to at least 1 × 1 and at most H × W. This makes faces unrecognisable.
    """
    height, width = image.shape[:2]
    size = min(max(columns, 1), width), min(max(rows, 1), height)
    patches = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST)


def _colour(name: str) -> Colour:
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def _limb_colour(start: Colour, end: Colour) -> Colour:
    """Returns a limb's colour: that of its side if an end is central, the central colour if it joins left and right."""
    if start == end:
        return start
    sides = {start, end} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def _thickness(points: np.ndarray) -> int:
    """Returns a line width in pixels, in proportion to the extent of the points [N, 2] of a person."""
    extent = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    return int(np.clip(round(extent / 110), 1, 6))


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Converts a point to OpenCV's fixed-point integers; points far outside of the image are clipped to their range."""
    x, y = np.clip(point[:2], -1e5, 1e5) * 2**SUBPIXEL_BITS
    return round(float(x)), round(float(y))


def _fitting(text: str, scale: float, width: int) -> float:
    """Returns the scale of a text that is at most `width` pixels wide, and no larger than a given scale."""
    (full, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    return min(scale, max(width, 1) / max(full, 1))
