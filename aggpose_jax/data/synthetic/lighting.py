"""Light: one lamp or window with soft cast shadows, and light from all sides, darker where things touch."""

import dataclasses

import cv2
import numpy as np

from aggpose_jax.data.synthetic.rasterizer import rasterize

SIDE = 112  # pixels of a side of a map of heights
MARGIN = 4


@dataclasses.dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
      direction: [3] unit vector to the lamp.
      colour: RGB [3] of the lamp, 1 is white.
      ambient: RGB [3] of the light from all sides.
      softness: width of the border of a shadow in metres.
    """

    direction: np.ndarray
    colour: np.ndarray
    ambient: np.ndarray
    softness: float


@dataclasses.dataclass(frozen=True)
class HeightMap:
    """The surface that is seen from a direction: heights [S, S] along it, in metres; `low` where there is nothing."""

    axes: np.ndarray
    origin: np.ndarray
    scale: float
    heights: np.ndarray
    low: float

    def places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pixels [N, 2] and the heights [N] of positions [N, 3] in metres."""
        seen = positions.astype(np.float32) @ self.axes.T.astype(np.float32)
        return (seen[:, :2] - self.origin) * np.float32(self.scale) + MARGIN, seen[:, 2]


def read_map(values: np.ndarray, places: np.ndarray, outside: float) -> np.ndarray:
    """Returns the values [N] of a map [S, S] at the pixels [N, 2] by bilinear interpolation; `outside` beyond it."""
    columns, rows = np.ascontiguousarray(places.T, np.float32)[..., None]
    read = [np.zeros((0, 1), np.float32)]
    for i in range(0, len(rows), 30000):  # OpenCV takes at most 32,766 rows.
        part = slice(i, i + 30000)
        read.append(
            np.asarray(
                cv2.remap(
                    values,
                    columns[part],
                    rows[part],
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_CONSTANT,
                    borderValue=outside,
                )
            )
        )
    return np.concatenate(read).ravel()


def height_map(vertices: np.ndarray, triangles: np.ndarray, two_sided, direction: np.ndarray) -> HeightMap:
    """Returns the heights of things as seen from a direction [3], over the smallest square that contains them.

    See `rasterize` for the triangles [F, 3] and `two_sided`.
    """
    helper = np.eye(3)[np.abs(direction).argmin()]
    first = np.cross(helper, direction)
    first /= np.linalg.norm(first)
    axes = np.stack([first, np.cross(direction, first), direction])
    seen = vertices @ axes.T
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    scale = (SIDE - 2 * MARGIN) / max((high - low).max(), 1e-3)
    top = seen[:, 2].max()
    x, y = ((seen[:, :2] - low) * scale + MARGIN).T
    # The second axis of the map points up, not down as in an image, which reverses the triangles.
    places = np.stack([x, y, top - seen[:, 2] + 1], axis=1)
    fragments = rasterize(places, triangles[:, ::-1], (SIDE, SIDE), two_sided)
    floor = float(seen[:, 2].min()) - 0.5
    heights = np.full(SIDE * SIDE, floor, np.float32)
    heights[fragments.pixel] = top + 1 - fragments.depth
    return HeightMap(axes, low.astype(np.float32), float(scale), heights.reshape(SIDE, SIDE), floor)


def shadow(light_map: HeightMap, positions: np.ndarray, softness: float) -> np.ndarray:
    """Returns [N] how much of the lamp's light reaches positions [N, 3]: 0 in full shadow, 1 without shadow.

    The heights are averaged over the width of the penumbra after an exponential (exponential shadow maps, Annen et al.
    2008), which gives soft borders from one lookup.
    """
    sharpness = 60.0  # per metre
    relative = np.exp(np.clip(sharpness * (light_map.heights - light_map.low - 0.5), -30, 60).astype(np.float32))
    blurred = cv2.GaussianBlur(relative, (0, 0), max(0.6, softness * light_map.scale))
    places, heights = light_map.places(positions)
    occluder = read_map(blurred, places, 1e-12)
    own = np.exp(np.clip(sharpness * (heights + 0.012 - light_map.low - 0.5), -30, 60))
    return np.clip(own / np.maximum(occluder, 1e-12), 0, 1)


def contact(top_map: HeightMap, positions: np.ndarray) -> np.ndarray:
    """Returns [N] how much light from all sides reaches positions: less near things that stand up beside them."""
    blurred = cv2.GaussianBlur(np.maximum(top_map.heights, 0), (0, 0), 0.03 * top_map.scale)
    places, heights = top_map.places(positions)
    around = read_map(blurred, places, 0.0)
    return 1 - np.clip(8 * (around - np.maximum(heights, 0)), 0, 0.55)
