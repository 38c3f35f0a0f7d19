"""What an infant lies on and what is around it: a bed or mat with a wrinkled sheet, the floor beside it, and a wall."""

import dataclasses

import cv2
import numpy as np

from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH, Camera
from aggpose_jax.data.synthetic.clothes import Fabric

WRINKLES = 96  # grid points of a side of the field of wrinkles
FIELD = 1.6  # metres of a side of that field, which repeats mirrored


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """The surfaces of a scene.

    Attributes:
      sheet, floor: fabrics of the bed and of the floor.
      bed: centre x, y, half width, half length in metres and angle in radians of the bed.
      edge: RGB [3] of the mattress's edge or of the frame, and its width in metres.
      floor_depth: distance of the floor below the bed in metres.
      wall: RGB [2, 3] of the wall at the bottom and at the top.
      wrinkles: [N, N] height of the sheet in metres.
    """

    sheet: Fabric
    floor: Fabric
    bed: np.ndarray
    edge: np.ndarray
    floor_depth: float
    wall: np.ndarray
    wrinkles: np.ndarray


@dataclasses.dataclass(frozen=True)
class Background:
    """The surfaces as a camera sees them, for all pixels N = H · W.

    Attributes:
      colours: RGB float32 [N, 3].
      positions: [N, 3] the place of the surface in metres.
      normals: [N, 3].
      is_bed: [N] bool.
    """

    colours: np.ndarray
    positions: np.ndarray
    normals: np.ndarray
    is_bed: np.ndarray


def sample_wrinkles(rng: np.random.Generator, depth: float) -> np.ndarray:
    """Returns the heights [N, N] in metres of a sheet with creases and soft bumps."""
    y, x = np.mgrid[0 : 1 : WRINKLES * 1j, 0 : 1 : WRINKLES * 1j].astype(np.float32)
    x = x + 0.1 * np.sin(rng.uniform(2, 8) * y + rng.uniform(0, 6))
    y = y + 0.1 * np.sin(rng.uniform(2, 8) * x + rng.uniform(0, 6))
    heights = np.zeros_like(x)
    for _ in range(9):
        angle, offset, width = rng.uniform(0, np.pi), rng.uniform(-0.4, 1), rng.uniform(0.012, 0.05)
        along = np.cos(angle) * y - np.sin(angle) * x
        across = (np.cos(angle) * x + np.sin(angle) * y - offset) / width
        heights += rng.uniform(0.3, 1) * np.exp(-(across**2)) * (0.5 + 0.5 * np.sin(rng.uniform(2, 9) * along))
    heights += 0.5 * cv2.resize(
        rng.standard_normal((9, 9)).astype(np.float32), (WRINKLES, WRINKLES), interpolation=cv2.INTER_CUBIC
    )
    return depth * heights


def draw_background(surroundings: Surroundings, camera: Camera) -> Background:
    """Returns the surfaces behind all objects as the camera sees them."""
    rays = camera.rays().reshape(-1, 3)
    down = np.minimum(rays[:, 2], -1e-4)
    reach = np.where(rays[:, 2] < -1e-4, -np.float32(camera.position[2]) / down, np.float32(1e4))
    on_plane = camera.position[:2].astype(np.float32) + reach[:, None] * rays[:, :2]
    x, y, half_width, half_length, angle = surroundings.bed
    c, s = np.cos(angle), np.sin(angle)
    local = (on_plane - np.array([x, y], np.float32)) @ np.array([[c, -s], [s, c]], np.float32)
    beyond = np.maximum(np.abs(local[:, 0]) - half_width, np.abs(local[:, 1]) - half_length)
    is_bed = beyond < 0

    # One length for the whole image decides how coarsely fabrics are sampled, that of a pixel in the middle.
    middle = np.median(reach[is_bed]) if is_bed.any() else 1.0
    pixel = float(middle / camera.focal)
    colours = np.empty((len(rays), 3), np.float32)
    colours[is_bed] = surroundings.sheet.colours(on_plane[is_bed], pixel)
    edge = is_bed & (beyond > -surroundings.edge[3])
    colours[edge] = surroundings.edge[:3]

    outside = ~is_bed
    floor_reach = np.where(rays[:, 2] < -1e-4, -np.float32(camera.position[2] + surroundings.floor_depth) / down, 1e4)
    on_floor = camera.position[:2].astype(np.float32) + floor_reach[:, None].astype(np.float32) * rays[:, :2]
    far = outside & (floor_reach * camera.axes[2, 2] * -1 > 6)
    floor = outside & ~far
    colours[floor] = surroundings.floor.colours(on_floor[floor], 1.5 * pixel)
    row = np.repeat(np.linspace(1, 0, HEIGHT, dtype=np.float32), WIDTH)[:, None]
    low, high = surroundings.wall.astype(np.float32)
    colours[far] = (low + row * (high - low))[far]
    if floor.any():  # The floor close to the bed lies in its shadow.
        near = np.clip(beyond[floor] / 0.4, 0, 1)[:, None]
        colours[floor] *= 0.55 + 0.45 * near

    positions = np.where(is_bed[:, None], np.pad(on_plane, ((0, 0), (0, 1))), np.array([9, 9, -1], np.float32))
    return Background(colours, positions, _sheet_normals(surroundings.wrinkles, on_plane, is_bed), is_bed)


def _sheet_normals(wrinkles: np.ndarray, on_plane: np.ndarray, is_bed: np.ndarray) -> np.ndarray:
    slope_y, slope_x = np.gradient(wrinkles, FIELD / WRINKLES)
    places = np.where(is_bed[:, None], on_plane, 0) * np.float32(WRINKLES / FIELD) + WRINKLES / 2
    places = places.reshape(HEIGHT, WIDTH, 2).astype(np.float32)
    slopes = cv2.remap(np.stack([slope_x, slope_y], axis=-1).astype(np.float32), places[..., 0], places[..., 1],
                       cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).reshape(-1, 2)  # fmt: skip
    normals = np.concatenate([-slopes, np.ones((len(slopes), 1), np.float32)], axis=1)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
