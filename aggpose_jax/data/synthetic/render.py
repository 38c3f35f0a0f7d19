"""Renders a scene of a synthetic infant as an image: infant, bed sheet, occluder, light, blur and sensor noise."""

import cv2
import numpy as np

from aggpose_jax.data.synthetic import parts, textures
from aggpose_jax.data.synthetic.appearance import Appearance
from aggpose_jax.data.synthetic.canvas import SHEET_DEPTH, Canvas, Group
from aggpose_jax.data.synthetic.scene import HEIGHT, WIDTH, Scene
from aggpose_jax.pose.draw import mosaic

SIZE = (WIDTH, HEIGHT)


def render(scene: Scene, appearance: Appearance, time: float, noise_offset: tuple[int, int]) -> np.ndarray:
    """Renders a scene as an image.

    Args:
      scene: the positions of the infant, the camera and the occluder.
      appearance: their colours and textures, and the properties of the camera.
      time: time in seconds at which the moving infant is shown.
      noise_offset: row and column (each 0..31) at which the window of sensor noise starts.

    Returns:
      uint8 [240, 320, 3] RGB.
    """
    canvas = Canvas(HEIGHT, WIDTH, appearance.light)
    for group in parts.infant_groups(scene, appearance, time):
        canvas.paint(group)
    float_image = _composite_over_sheet(canvas, appearance)
    if scene.occluder.kind == "blanket":
        _paint_blanket(float_image, canvas, scene, appearance)
    elif scene.occluder.kind != "none":
        _paint_arm_or_toy(float_image, scene, appearance)
    light = _brightness(appearance)
    planes = [
        cv2.multiply(plane, light, scale=gain, dtype=cv2.CV_8U)
        for plane, gain in zip(float_image, appearance.gain, strict=True)
    ]
    image = cv2.merge(planes)
    image = cv2.GaussianBlur(image, (5, 5), appearance.blur)
    row, column = noise_offset
    noise = textures.grain()[row : row + HEIGHT, column : column + WIDTH]
    image = cv2.addWeighted(image, 1.0, noise, appearance.noise / 32, -4 * appearance.noise)
    return _hide_face(image, scene, appearance, time) if appearance.mosaic else image


def _shadow(cover: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Returns the soft shadow float32 [H, W], 0..1, that objects with a coverage [H, W] cast away from the light."""
    small = cv2.GaussianBlur(cv2.resize(cover, (80, 60), interpolation=cv2.INTER_AREA), (9, 9), 1.8)
    moved = cv2.warpAffine(small, np.array([[1, 0, -2.2 * light[0]], [0, 1, -2.2 * light[1]]]), (80, 60))
    return cv2.resize(moved, SIZE, interpolation=cv2.INTER_LINEAR)


def _composite_over_sheet(canvas: Canvas, appearance: Appearance) -> np.ndarray:
    """Returns the image float32 [3, H, W] of the canvas over the creased bed sheet, with its shadow on the sheet."""
    seed, depth = appearance.sheet_folds
    shade = textures.folds(np.random.default_rng(seed), depth, SIZE)
    shade *= (1 - 0.5 * _shadow(canvas.cover, appearance.light)) * (1 - canvas.cover)
    sheet = textures.warp(
        textures.repeat(appearance.sheet, appearance.sheet_period, 240.0), *appearance.sheet_placement, SIZE
    )
    image = np.empty((3, HEIGHT, WIDTH), np.float32)
    for plane, colour in zip(image, cv2.split(sheet), strict=True):
        cv2.multiply(colour, shade, plane, dtype=cv2.CV_32F)
    canvas.add_to(image)
    return image


def _paint_blanket(image: np.ndarray, canvas: Canvas, scene: Scene, appearance: Appearance) -> None:
    """Paints a blanket over the image beyond the edge of the occluder; the body under it is visible as a relief."""
    a, b, c = scene.occluder.edge
    beyond = a * np.arange(WIDTH, dtype=np.float32)[None] + (b * np.arange(HEIGHT, dtype=np.float32) + c)[:, None]
    weight = np.clip(beyond + 0.5, 0, 1)
    relief = cv2.GaussianBlur(np.maximum(canvas.depth, SHEET_DEPTH / 6), (0, 0), 3.0)
    slope_x, slope_y = cv2.Sobel(relief, cv2.CV_32F, 1, 0), cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    shade = 0.92 - 0.014 * (appearance.light[0] * slope_x + appearance.light[1] * slope_y)
    shade = np.clip(shade, 0.45, 1.15) * np.where(np.abs(beyond - 3) < 1.5, 0.8, 1.0)
    fabric = textures.repeat(appearance.blanket.tile, appearance.blanket.period * scene.camera.scale, 240.0)
    cloth = textures.warp(fabric, np.arctan2(b, a), WIDTH / 2, HEIGHT / 2, SIZE)
    edge_shadow = 1 - 0.35 * np.exp(-(np.minimum(beyond, 0) ** 2) / 18) * (1 - weight)
    for plane, colour in zip(image, cv2.split(cloth), strict=True):
        plane *= edge_shadow * (1 - weight)
        plane += weight * shade * colour


def _paint_arm_or_toy(image: np.ndarray, scene: Scene, appearance: Appearance) -> None:
    """Paints the arm of the caregiver, or the toy, over the image, in place."""
    over = Canvas(HEIGHT, WIDTH, appearance.light)
    ends = scene.occluder.shapes
    zero_height = np.zeros((len(ends), 1))
    shapes = np.concatenate([ends[:, :2], zero_height, ends[:, 2:5], zero_height, ends[:, 5:]], axis=1)
    over.paint(Group(shapes, appearance.toy if scene.occluder.kind == "toy" else appearance.caregiver))
    image *= (1 - 0.4 * _shadow(over.cover, appearance.light)) * (1 - over.cover)
    over.add_to(image)


def _brightness(appearance: Appearance) -> np.ndarray:
    """Returns the brightness factor float32 [H, W], which changes linearly over the frame."""
    x, y = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    return (1 + np.float32(appearance.slope[0]) * x)[None, :] * (1 + np.float32(appearance.slope[1]) * y)[:, None]


def _hide_face(image: np.ndarray, scene: Scene, appearance: Appearance, time: float) -> np.ndarray:
    """Hides the face by square blocks, as in published hospital recordings, in place; returns the image."""
    (x, y), radius = parts.face_window(scene, time)
    top, left = max(int(y - radius), 0), max(int(x - radius), 0)
    face = image[top : max(int(y + radius), 0), left : max(int(x + radius), 0)]
    if face.size:
        height, width = face.shape[:2]
        face[:] = mosaic(face, height // appearance.mosaic, width // appearance.mosaic)
    return image
