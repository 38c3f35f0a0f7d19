"""What an infant lies on and what is around it: a bed or mat with a wrinkled sheet, the floor beside it, and a wall."""

import dataclasses
import functools

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
    """The surfaces as a camera sees them.

    Attributes:
      colours: RGB float32 [H · W, 3].
      positions, normals: float32 [H/2 · W/2, 3] the place of the surface in metres and its normal, of every second row
        and column; the bed is taken to be endless.
    """

    colours: np.ndarray
    positions: np.ndarray
    normals: np.ndarray


@functools.cache
def _wrinkle_fields() -> np.ndarray:
    """Returns the heights [12, N, N] of sheets with creases and soft bumps, about 1 high."""
    rng = np.random.default_rng(0)
    fields = []
    for _ in range(12):
        y, x = np.mgrid[0 : 1 : WRINKLES * 1j, 0 : 1 : WRINKLES * 1j].astype(np.float32)
        x = x + 0.1 * np.sin(rng.uniform(2, 8) * y + rng.uniform(0, 6))
        y = y + 0.1 * np.sin(rng.uniform(2, 8) * x + rng.uniform(0, 6))
        bumps = rng.standard_normal((9, 9)).astype(np.float32)
        heights = 0.5 * cv2.resize(bumps, (WRINKLES, WRINKLES), interpolation=cv2.INTER_CUBIC)
        for _ in range(9):
            angle, offset, width = rng.uniform(0, np.pi), rng.uniform(-0.4, 1), rng.uniform(0.012, 0.05)
            along = np.cos(angle) * y - np.sin(angle) * x
            across = (np.cos(angle) * x + np.sin(angle) * y - offset) / width
            heights += rng.uniform(0.3, 1) * np.exp(-(across**2)) * (0.5 + 0.5 * np.sin(rng.uniform(2, 9) * along))
        fields.append(heights)
    return np.stack(fields)


def sample_wrinkles(rng: np.random.Generator, depth: float) -> np.ndarray:
    """Returns the heights [N, N] in metres of a wrinkled sheet: two of a few fields, turned at random and added."""
    fields = _wrinkle_fields()
    first, second = (np.rot90(fields[rng.integers(len(fields))], int(rng.integers(4))) for _ in range(2))
    return depth * (first + rng.uniform(0, 1) * second[:, ::-1])


def _plane_homography(camera: Camera, height: float) -> np.ndarray:
    """Returns the homography [3, 3] from pixels to x, y in metres on the plane z = height.

    Its third coordinate is the part of the ray that points down; the plane is seen where it is positive.
    """
    x, y = camera.centre
    rays = camera.axes.T @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, camera.focal]]) / camera.focal
    drop = camera.position[2] - height
    # The point is position + drop / (-ray z) · ray; multiplied by -ray z it is linear in the pixel.
    return np.stack([
        drop * rays[0] - camera.position[0] * rays[2],
        drop * rays[1] - camera.position[1] * rays[2],
        -rays[2],
    ])  # fmt: skip


def _apply(homography: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns x, y and the third coordinate [H / step, W / step] of every `step`-th pixel under a homography."""
    columns = np.arange(0, WIDTH, step, dtype=np.float32)
    rows = np.arange(0, HEIGHT, step, dtype=np.float32)[:, None]
    a, b, c = ((np.float32(r[0]) * columns + np.float32(r[2])) + np.float32(r[1]) * rows for r in homography)
    safe = np.maximum(c, np.float32(1e-4))
    return a / safe, b / safe, c


def _print(fabric: Fabric, homography: np.ndarray, pixel: float) -> np.ndarray:
    """Returns the RGB uint8 [H, W, 3] of a plane covered with a fabric, averaged over pixels of `pixel` metres."""
    tile = fabric.at(pixel)
    c, s, scale = np.cos(fabric.angle), np.sin(fabric.angle), len(tile) / fabric.period
    to_tile = np.array([[c * scale, s * scale, 0], [-s * scale, c * scale, 0], [0, 0, 1]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(tile, to_tile @ homography, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_WRAP)


def draw_background(surroundings: Surroundings, camera: Camera) -> Background:
    """Returns the surfaces behind all objects as the camera sees them."""
    plane = _plane_homography(camera, 0.0)
    x, y, half_width, half_length, angle = surroundings.bed
    c, s = np.cos(angle), np.sin(angle)
    to_bed = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
    across, along, down = _apply(to_bed @ plane, 1)
    beyond = np.maximum(np.abs(across) - np.float32(half_width), np.abs(along) - np.float32(half_length))
    is_bed = (beyond < 0) & (down > 1e-3)
    # One length for the whole image decides how coarsely fabrics are sampled.
    pixel = float(camera.position[2] / np.median(np.maximum(down, 0.05)) / camera.focal)
    colours = _print(surroundings.sheet, plane, pixel).astype(np.float32)
    if surroundings.edge[3] > 0:
        colours[is_bed & (beyond > -surroundings.edge[3])] = surroundings.edge[:3]
    if not is_bed.all():
        _draw_outside(surroundings, camera, is_bed, beyond, pixel, colours)

    near_x, near_y, near_down = _apply(plane, 2)
    reach = np.maximum(np.abs(near_x), np.abs(near_y)) < 3
    near_x, near_y = np.where(reach, near_x, 9), np.where(reach & (near_down > 1e-3), near_y, 9)
    positions = np.stack([near_x, near_y, np.zeros_like(near_x)], axis=-1)
    normals = _sheet_normals(surroundings.wrinkles, plane)
    normals[~is_bed[::2, ::2]] = 0, 0, 1
    return Background(colours.reshape(-1, 3), positions.reshape(-1, 3), normals.reshape(-1, 3))


def _draw_outside(
    surroundings: Surroundings, camera: Camera, is_bed, beyond, pixel: float, colours: np.ndarray
) -> None:
    """Draws the floor and the wall where there is no bed, into `colours` [H, W, 3]."""
    floor_plane = _plane_homography(camera, -surroundings.floor_depth)
    _, _, down = _apply(floor_plane, 1)
    floor = _print(surroundings.floor, floor_plane, 1.5 * pixel)
    near = (0.55 + 0.45 * np.clip(beyond / 0.4, 0, 1))[..., None]  # The floor beside the bed lies in its shadow.
    wall_height = np.linspace(1, 0, HEIGHT, dtype=np.float32)[:, None, None]
    low, high = surroundings.wall.astype(np.float32)
    wall = np.broadcast_to(low + wall_height * (high - low), colours.shape)
    is_floor = (camera.position[2] + surroundings.floor_depth) < 6 * np.maximum(down, 1e-4)
    outside = ~is_bed
    np.copyto(colours, floor * near, where=(outside & is_floor)[..., None])
    np.copyto(colours, wall, where=(outside & ~is_floor)[..., None])


def _sheet_normals(wrinkles: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Returns the normals float32 [H/2, W/2, 3] of a wrinkled sheet."""
    slope_y, slope_x = np.gradient(wrinkles, FIELD / WRINKLES)
    slopes = np.stack([slope_x, slope_y], axis=-1).astype(np.float32)
    scale = WRINKLES / FIELD
    to_field = np.array([[scale, 0, WRINKLES / 2], [0, scale, WRINKLES / 2], [0, 0, 1]]) @ plane @ np.diag([2, 2, 1])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (WIDTH // 2, HEIGHT // 2)
    seen = np.asarray(cv2.warpPerspective(slopes, to_field, size, flags=flags, borderMode=cv2.BORDER_REFLECT))
    normals = np.concatenate([-seen, np.ones((*seen.shape[:2], 1), np.float32)], axis=2)
    return normals / np.sqrt(1 + (seen * seen).sum(axis=2, keepdims=True))
