"""Simple bodies made of triangles: tubes, ellipsoids, and cloths that lie over other things."""

import dataclasses

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Solid:
    """An object: vertices [V, 3] in metres, outward normals [V, 3], triangles [F, 3], and the RGB [V, 3] of its colour.

    `kind` is "infant", "clothes" (the skirt of a gown) or "object". Keypoints behind an object are absent (see
    `rendering.View`); those behind clothes or the infant itself are only hidden.
    """

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    kind: str = "object"


def _grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Returns the triangles [F, 3] of a grid of vertices; `closed` joins the last column to the first."""
    row = np.arange(rows - 1)[:, None]
    column = np.arange(columns if closed else columns - 1)[None, :]
    a, b = row * columns + column, row * columns + (column + 1) % columns
    quads = np.stack([a, b, b + columns, a + columns], axis=-1).reshape(-1, 4)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def tube(path: np.ndarray, radii: np.ndarray, colour: np.ndarray, sides: int = 8) -> Solid:
    """Returns a tube with rounded ends along a path [N, 3], with the radii [N] in metres."""
    path = np.concatenate([path[:1] - 1e-3 * (path[1] - path[0]), path, path[-1:] + 1e-3 * (path[-1] - path[-2])])
    radii = np.concatenate([[1e-4], radii, [1e-4]])
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.eye(3)[np.abs(along).mean(axis=0).argmin()]
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    around = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    vertices = path[:, None] + radii[:, None, None] * around
    around[0], around[-1] = -along[0], along[-1]
    count = len(path) * sides
    triangles = _grid_triangles(len(path), sides, closed=True)
    return Solid(vertices.reshape(count, 3), around.reshape(count, 3), triangles, np.tile(colour, (count, 1)))


def ellipsoid(
    centre: np.ndarray, axes: np.ndarray, colour: np.ndarray, power: float = 1.0, rows: int = 9, columns: int = 14
) -> Solid:
    """Returns an ellipsoid whose half axes are the rows of `axes` [3, 3]; a `power` below 1 makes it box-like."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    longitude = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    unit = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude),
                     np.sin(latitude) + 0 * longitude], axis=-1).reshape(-1, 3)  # fmt: skip
    shaped = np.sign(unit) * np.abs(unit) ** power
    normals = (np.sign(unit) * np.abs(unit) ** (2 - power)) @ np.linalg.inv(axes).T
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    triangles = _grid_triangles(rows, columns, closed=True)
    if np.linalg.det(axes) < 0:
        triangles = triangles[:, ::-1]
    return Solid(centre + shaped @ axes, normals, triangles, np.tile(colour, (len(unit), 1)))


def cloth(heights: np.ndarray, x: np.ndarray, y: np.ndarray, keep: np.ndarray, colours: np.ndarray, kind: str) -> Solid:
    """Returns a cloth over a grid: heights [R, C] above the points x [C], y [R], where `keep` [R, C] is true.

    y must descend. `colours` is RGB [R, C, 3].
    """
    rows, columns = heights.shape
    grid_x, grid_y = np.meshgrid(x, y)
    triangles = _grid_triangles(rows, columns, closed=False)[:, ::-1]
    triangles = triangles[keep.ravel()[triangles].all(axis=1)]
    slope_y, slope_x = np.gradient(heights, y, x)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(heights)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    vertices = np.stack([grid_x, grid_y, heights], axis=-1).reshape(-1, 3)
    return Solid(vertices, normals.reshape(-1, 3), triangles, colours.reshape(-1, 3), kind)


def drape(below: np.ndarray, stiffness: int, rng: np.random.Generator, folds: float) -> np.ndarray:
    """Returns the heights [R, C] of a cloth over the heights `below` [R, C], with folds of a depth in metres."""
    over = cv2.dilate(below.astype(np.float32), np.ones((stiffness, stiffness), np.uint8))
    over = np.maximum(cv2.GaussianBlur(over, (0, 0), 0.5 * stiffness), below)
    noise = cv2.resize(rng.standard_normal((7, 7)).astype(np.float32), below.shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(
        rng.standard_normal((16, 16)).astype(np.float32), below.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    return np.maximum(cv2.GaussianBlur(over, (0, 0), 1.0), below) + folds * np.abs(noise + 0.5 * fine) + 0.004
