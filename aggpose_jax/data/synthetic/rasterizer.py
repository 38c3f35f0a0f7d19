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
    x, y, depth = (np.ascontiguousarray(points[:, i], np.float32)[triangles.T] for i in range(3))
    doubled = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    top, bottom = np.ceil(_least(y)).clip(0), np.floor(-_least(-y)).clip(max=height - 1)
    seen = (bottom >= top) & (-_least(-x) >= 0) & (_least(x) <= width - 1) & (_least(depth) > 1e-3)
    # y points down in images, so the front of a triangle is clockwise.
    index = np.flatnonzero(seen & ((doubled < 0) | ((doubled > 0) & two_sided)))
    x, y, doubled = x[:, index], y[:, index], doubled[index]
    # The weight of a corner grows by `slopes` per pixel to the right and by `falls` per pixel down, both [3, N].
    slopes = (y[[1, 2, 0]] - y[[2, 0, 1]]) / doubled
    falls = (x[[2, 0, 1]] - x[[1, 2, 0]]) / doubled

    # The pixels of each row of each triangle, from the places where the weights become positive.
    first_row = top[index].astype(np.int32)
    owner, row = _repeat(bottom[index].astype(np.int32) - first_row + 1)
    row += first_row[owner]
    start = x[2, owner]  # The weight of the last corner is 1 at this corner.
    at_start = falls[:, owner] * (row - y[2, owner])
    at_start[2] += 1
    slope = slopes[:, owner]
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -at_start / slope
    left = -_least(np.where(slope > 0, -zero, np.where((slope == 0) & (at_start < 0), -np.inf, np.inf)))
    right = _least(np.where(slope < 0, zero, np.inf))
    left = np.ceil(np.clip(left + start - 1e-4, 0, width)).astype(np.int32)
    right = np.floor(np.clip(right + start + 1e-4, -1, width - 1)).astype(np.int32)
    span, column = _repeat(np.maximum(right - left + 1, 0))
    column += left[span]
    weights = at_start[:, span] + slope[:, span] * (column - start[span])

    triangle = index[owner[span]]
    weights /= depth[:, triangle]
    inverse = weights[0] + weights[1] + weights[2]
    pixel = row[span] * width + column
    # Of several values that are assigned to one place the last one stays: that of the nearest triangle.
    order = np.argsort(inverse)
    winner = np.full(width * height, -1)
    winner[pixel[order]] = order
    nearest = winner[winner >= 0]
    normalised = (weights[:, nearest] / inverse[nearest]).T
    return Fragments(pixel[nearest], triangle[nearest], normalised, 1 / inverse[nearest])


def _least(values: np.ndarray) -> np.ndarray:
    """Returns the minimum [N] over the three rows of values [3, N], faster than `min` over so few."""
    return np.minimum(np.minimum(values[0], values[1]), values[2])


def _repeat(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each index as often as `counts` [N] says, [M], and the number of each repetition, [M] int32."""
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return owner, (np.arange(len(owner)) - starts[owner]).astype(np.int32)
