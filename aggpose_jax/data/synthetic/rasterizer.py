"""Draws triangles with a depth buffer, in numpy: which triangle is seen at each pixel, and where on it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Fragments:
    """The N pixels of an image that show a triangle.

    Attributes:
      pixel: [N] index of the pixel in the flattened image, ascending.
      triangle: [N] index of the nearest triangle.
      weights: [N, 3] of its corners at the centre of the pixel; they sum to 1 and are correct for perspective.
      depth: [N] distance of the surface along the axis of the camera.
    """

    pixel: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    def interpolate(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Returns the values [N, ...] on the pixels of values [V, ...] of the vertices."""
        corners = values[triangles[self.triangle]]
        return np.einsum("nc,nc...->n...", self.weights, corners)


def rasterize(
    points: np.ndarray, triangles: np.ndarray, size: tuple[int, int], two_sided: np.ndarray | bool = False
) -> Fragments:
    """Returns the nearest triangle at each pixel.

    Args:
      points: [V, 3] x, y in pixels, with pixel centres at integers, and the depth, greater than 0 where it is seen.
      triangles: [F, 3] vertices; counter-clockwise as seen from the front in a coordinate system whose y points up.
      size: width and height of the image in pixels.
      two_sided: [F] or one for all: whether a triangle is also seen from behind.
    """
    width, height = size
    corners = points[triangles].astype(np.float32)
    x, y, depth = corners[..., 0], corners[..., 1], corners[..., 2]
    doubled = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    left, right = np.ceil(x.min(axis=1)).clip(0), np.floor(x.max(axis=1)).clip(max=width - 1)
    top, bottom = np.ceil(y.min(axis=1)).clip(0), np.floor(y.max(axis=1)).clip(max=height - 1)
    seen = (right >= left) & (bottom >= top) & (depth.min(axis=1) > 1e-3) & (doubled != 0)
    seen &= (doubled < 0) | two_sided  # y points down in images, so the front of a triangle is clockwise.
    index = np.flatnonzero(seen)
    left, top = left[index].astype(np.int32), top[index].astype(np.int32)
    columns, rows = right[index].astype(np.int32) - left + 1, bottom[index].astype(np.int32) - top + 1

    # One candidate for each pixel in the bounding box of each triangle.
    counts = columns * rows
    owner = np.repeat(np.arange(len(index)), counts)
    place = np.arange(len(owner), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts).astype(np.int32)
    row, column = np.divmod(place, columns[owner])
    px, py = left[owner] + column, top[owner] + row
    triangle = index[owner]
    weights = np.empty((len(owner), 3), np.float32)
    area = doubled[triangle]
    xs, ys = x[triangle], y[triangle]
    for corner in range(2):
        a, b = (corner + 1) % 3, (corner + 2) % 3
        weights[:, corner] = ((xs[:, a] - px) * (ys[:, b] - py) - (xs[:, b] - px) * (ys[:, a] - py)) / area
    weights[:, 2] = 1 - weights[:, 0] - weights[:, 1]
    inside = (weights >= -1e-5).all(axis=1)

    weights = weights[inside] / depth[triangle[inside]]
    inverse = weights.sum(axis=1)
    pixel, triangle = (py[inside] * width + px[inside]), triangle[inside]
    order = np.lexsort((-inverse, pixel))
    first = np.ones(len(order), bool)
    first[1:] = pixel[order[1:]] != pixel[order[:-1]]
    nearest = order[first]
    return Fragments(pixel[nearest], triangle[nearest], weights[nearest] / inverse[nearest, None], 1 / inverse[nearest])
