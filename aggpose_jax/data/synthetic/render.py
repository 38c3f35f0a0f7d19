"""Pictures of scenes."""

import cv2
import numpy as np

from aggpose_jax.data.synthetic import parts, textures
from aggpose_jax.data.synthetic.appearance import Appearance
from aggpose_jax.data.synthetic.canvas import SHEET_DEPTH, Canvas, Group
from aggpose_jax.data.synthetic.scene import HEIGHT, WIDTH, Scene
from aggpose_jax.pose.draw import mosaic

SIZE = (WIDTH, HEIGHT)


def render(scene: Scene, look: Appearance, time: float, noise_at: tuple[int, int]) -> np.ndarray:
    """uint8 [240, 320, 3] RGB.

    Args:
      scene: where things are.
      look: what they look like.
      time: seconds.
      noise_at: row and column (each 0..31) of the window of sensor noise.
    """
    canvas = Canvas(HEIGHT, WIDTH, look.light)
    for group in parts.infant(scene, look, time):
        canvas.paint(group)
    picture = _over_sheet(canvas, look)
    if scene.occluder.kind == "blanket":
        _blanket(picture, canvas, scene, look)
    elif scene.occluder.kind != "none":
        _over_infant(picture, scene, look)
    light = _brightness(look)
    planes = [
        cv2.multiply(plane, light, scale=gain, dtype=cv2.CV_8U) for plane, gain in zip(picture, look.gain, strict=True)
    ]
    image = cv2.merge(planes)
    image = cv2.GaussianBlur(image, (5, 5), look.blur)
    row, column = noise_at
    noise = textures.grain()[row : row + HEIGHT, column : column + WIDTH]
    image = cv2.addWeighted(image, 1.0, noise, look.noise / 32, -4 * look.noise)
    return _hide_face(image, scene, look, time) if look.mosaic else image


def _shadow(cover: np.ndarray, light: np.ndarray) -> np.ndarray:
    """[H, W] float32 0..1: the soft shadow that a cover casts away from the light."""
    small = cv2.GaussianBlur(cv2.resize(cover, (80, 60), interpolation=cv2.INTER_AREA), (9, 9), 1.8)
    moved = cv2.warpAffine(small, np.array([[1, 0, -2.2 * light[0]], [0, 1, -2.2 * light[1]]]), (80, 60))
    return cv2.resize(moved, SIZE, interpolation=cv2.INTER_LINEAR)


def _over_sheet(canvas: Canvas, look: Appearance) -> np.ndarray:
    """[3, H, W] float32: the canvas over the creased sheet and its shadow there."""
    seed, depth = look.sheet_folds
    shade = textures.folds(np.random.default_rng(seed), depth, SIZE)
    shade *= (1 - 0.5 * _shadow(canvas.cover, look.light)) * (1 - canvas.cover)
    sheet = textures.lay(textures.spread(look.sheet, look.sheet_period, 240.0), *look.sheet_place, SIZE)
    picture = np.empty((3, HEIGHT, WIDTH), np.float32)
    for plane, colour in zip(picture, cv2.split(sheet), strict=True):
        cv2.multiply(colour, shade, plane, dtype=cv2.CV_32F)
    canvas.add_to(picture)
    return picture


def _blanket(picture: np.ndarray, canvas: Canvas, scene: Scene, look: Appearance) -> None:
    """Lay a blanket over the picture beyond the occluder's edge; the body under it shows as relief."""
    a, b, c = scene.occluder.edge
    beyond = a * np.arange(WIDTH, dtype=np.float32)[None] + (b * np.arange(HEIGHT, dtype=np.float32) + c)[:, None]
    weight = np.clip(beyond + 0.5, 0, 1)
    relief = cv2.GaussianBlur(np.maximum(canvas.depth, SHEET_DEPTH / 6), (0, 0), 3.0)
    slope_x, slope_y = cv2.Sobel(relief, cv2.CV_32F, 1, 0), cv2.Sobel(relief, cv2.CV_32F, 0, 1)
    shade = 0.92 - 0.014 * (look.light[0] * slope_x + look.light[1] * slope_y)
    shade = np.clip(shade, 0.45, 1.15) * np.where(np.abs(beyond - 3) < 1.5, 0.8, 1.0)
    cover = textures.spread(look.cover.tile, look.cover.period * scene.camera.scale, 240.0)
    cloth = textures.lay(cover, np.arctan2(b, a), WIDTH / 2, HEIGHT / 2, SIZE)
    edge_shadow = 1 - 0.35 * np.exp(-(np.minimum(beyond, 0) ** 2) / 18) * (1 - weight)
    for plane, colour in zip(picture, cv2.split(cloth), strict=True):
        plane *= edge_shadow * (1 - weight)
        plane += weight * shade * colour


def _over_infant(picture: np.ndarray, scene: Scene, look: Appearance) -> None:
    """Paint the caregiver's arm or the toy."""
    over = Canvas(HEIGHT, WIDTH, look.light)
    ends = scene.occluder.shapes
    flat = np.zeros((len(ends), 1))
    shapes = np.concatenate([ends[:, :2], flat, ends[:, 2:5], flat, ends[:, 5:]], axis=1)
    over.paint(Group(shapes, look.toy if scene.occluder.kind == "toy" else look.carer))
    picture *= (1 - 0.4 * _shadow(over.cover, look.light)) * (1 - over.cover)
    over.add_to(picture)


def _brightness(look: Appearance) -> np.ndarray:
    """[H, W] float32: light falls off over the frame."""
    x, y = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    return (1 + np.float32(look.slope[0]) * x)[None, :] * (1 + np.float32(look.slope[1]) * y)[:, None]


def _hide_face(image: np.ndarray, scene: Scene, look: Appearance, time: float) -> np.ndarray:
    """The image with square blocks over the face, as published hospital recordings have."""
    (x, y), radius = parts.face_window(scene, time)
    top, left = max(int(y - radius), 0), max(int(x - radius), 0)
    face = image[top : max(int(y + radius), 0), left : max(int(x + radius), 0)]
    if face.size:
        height, width = face.shape[:2]
        face[:] = mosaic(face, height // look.mosaic, width // look.mosaic)
    return image
