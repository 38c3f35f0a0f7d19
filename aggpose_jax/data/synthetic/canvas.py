"""A renderer of shaded tapered capsules with a depth buffer. All solid objects are painted from such capsules."""

import dataclasses

import cv2
import numpy as np

from aggpose_jax.data.synthetic import textures

# The depth test selects the highest surface at each pixel. Heights are in pixels above the infant's spine.
# The test multiplies the bulge of a capsule over its axis by FLATTEN, so that touching body parts sink into each other.
FLATTEN = 0.5
SHEET_DEPTH = -60.0  # height of the bed sheet
# The test reduces the height of a capsule by EDGE at pixels that it does not cover, and in proportion at pixels that it
# covers in part, so that it hides other capsules only where it covers them.
EDGE = 100.0

Window = tuple[slice, slice]  # rows and columns of a rectangle of pixels


@dataclasses.dataclass(frozen=True)
class Group:
    """Capsules of one material that are painted together.

    Attributes:
      shapes: [N, 8] x, y, z, radius at one end, then the same at the other end, in pixels.
      colours: [2, 3] RGB of the sides away from the light and towards it; None if there is a cloth.
      cloth: uint8 [S, S, 3] fabric made by `textures.repeat`; None if there are colours.
      placement: angle in radians, and x and y in pixels of the centre of the cloth; None without a cloth.
      lift: pixels that are added to the height of the group in the depth test.
      marks: spots and strokes (start [4], end [4], radius in statures, colour [3]), with points of
        `parts.project_points`. Each is painted on the uppermost surface at its position.
    """

    shapes: np.ndarray
    colours: np.ndarray | None = None
    cloth: np.ndarray | None = None
    placement: tuple[float, float, float] | None = None
    lift: float = 0.0
    marks: tuple = ()


class Canvas:
    """A drawing of groups of capsules: the coverage, depth, shade and material [H, W] of the uppermost surfaces."""

    def __init__(self, height: int, width: int, light: np.ndarray):
        """Creates an empty canvas of a height and width in pixels; light [3] is the unit direction to the light."""
        self.cover = np.zeros((height, width), np.float32)
        self.depth = np.full((height, width), SHEET_DEPTH - EDGE, np.float32)
        self._shade = np.zeros((height, width), np.float32)
        self._material = np.zeros((height, width), np.uint8)
        self._light = light.tolist()
        self._colours = np.zeros((2, 3, 256), np.float32)  # dark and lit RGB of each material; material 0 is none
        self._materials = 0
        self._clothes: list[tuple[int, Window, np.ndarray, tuple[float, float, float]]] = []
        self._extent: Window = slice(0, 0), slice(0, 0)

    def paint(self, group: Group) -> None:
        """Paints a group where it is higher than the groups painted before, and then its marks."""
        window = self._window(group.shapes)
        if window is None:
            return
        self._extent = _union(self._extent[0], window[0]), _union(self._extent[1], window[1])
        material = self._add_material(group.colours)
        if group.cloth is not None:
            assert group.placement is not None, "a group with a cloth has a placement"
            self._clothes.append((material, window, group.cloth, group.placement))
        cover, height, shade = _capsules(group.shapes, window, self._light)
        height += group.lift
        depth = self.depth[window]
        is_higher = height > depth
        np.copyto(depth, height, where=is_higher)
        np.copyto(self._shade[window], shade, where=is_higher)
        np.copyto(self._material[window], material, where=is_higher)
        np.maximum(self.cover[window], cover, out=self.cover[window])
        for mark in group.marks:
            self._mark(*mark)

    def add_to(self, image: np.ndarray) -> None:
        """Adds the colours, multiplied by the coverage, to an image float32 [3, H, W] of 0..255, in place."""
        if not self._materials:
            return
        rows, columns = self._extent
        material = np.ascontiguousarray(self._material[rows, columns])
        shade = 0.25 + 0.75 * np.maximum(self._shade[rows, columns], -0.2)
        dark, lit = self._colours
        planes = [cv2.LUT(material, dark[c]) + cv2.LUT(material, lit[c] - dark[c]) * shade for c in range(3)]
        shade *= 0.57
        shade += 0.45
        for number, window, fabric, (angle, x, y) in self._clothes:
            within = _relative(window, self._extent)
            size = window[1].stop - window[1].start, window[0].stop - window[0].start
            cloth = textures.warp(fabric, angle, x - window[1].start, y - window[0].start, size)
            has_material, cloth_shade = material[within] == number, shade[within]
            for plane, pattern in zip(planes, cv2.split(cloth), strict=True):
                np.copyto(plane[within], cv2.multiply(pattern, cloth_shade, dtype=cv2.CV_32F), where=has_material)
        cover = self.cover[rows, columns]
        for plane, full_plane in zip(planes, image, strict=True):
            plane *= cover
            full_plane[rows, columns] += plane

    def _add_material(self, colours: np.ndarray | None) -> int:
        """Registers the material of a group or a mark and returns its number.

        `colours` [2, 3] are its dark and lit RGB; None for a cloth, whose pattern `add_to` paints.
        """
        self._materials += 1
        if colours is not None:
            self._colours[:, :, self._materials] = colours
        return self._materials

    def _mark(self, start: np.ndarray, end: np.ndarray, radius: float, colour: np.ndarray) -> None:
        """Paints a spot or a stroke with a precision of 1/16 pixel; it has the shade of the surface that it lies on."""
        material = self._add_material(np.stack([0.55 * colour, colour]))
        first, last = (tuple(int(v) for v in np.rint(16 * p[:2])) for p in (start, end))
        size = radius * start[3]
        if first == last:
            cv2.circle(self._material, first, round(16 * size), material, -1, cv2.LINE_8, 4)
        else:
            cv2.line(self._material, first, last, material, max(round(2 * size), 1), cv2.LINE_8, 4)

    def _window(self, shapes: np.ndarray) -> Window | None:
        """Returns the rows and columns of the canvas that contain capsules [N, 8]; None if all are outside of it."""
        radius = shapes[:, 3::4].max()
        low, high = shapes.reshape(-1, 4).min(axis=0) - radius, shapes.reshape(-1, 4).max(axis=0) + radius
        rows = slice(max(int(low[1]) - 1, 0), min(int(high[1]) + 3, self.cover.shape[0]))
        columns = slice(max(int(low[0]) - 1, 0), min(int(high[0]) + 3, self.cover.shape[1]))
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)


def _union(a: slice, b: slice) -> slice:
    """Returns the shortest slice that contains both slices of rows or of columns; an empty `a` is ignored."""
    return b if a.start == a.stop else slice(min(a.start, b.start), max(a.stop, b.stop))


def _relative(window: Window, extent: Window) -> tuple[slice, ...]:
    """Returns the rows and columns of a window, counted from the start of the extent, which contains the window."""
    return tuple(slice(w.start - e.start, w.stop - e.start) for w, e in zip(window, extent, strict=True))


def _capsules(shapes: np.ndarray, window: Window, light: list[float]) -> tuple[np.ndarray, ...]:
    """Returns the coverage, and the height and shade of the highest capsule, at each pixel of a window; all [h, w]."""
    single = len(shapes) == 1
    start, end = shapes.reshape(2, 4).tolist() if single else shapes.astype(np.float32).T.reshape(2, 4, -1, 1, 1)
    delta_x, delta_y, delta_z, delta_radius = (b - a for a, b in zip(start, end, strict=True))
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - start[0]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - start[1]
    squared_length = delta_x * delta_x + delta_y * delta_y + 1e-6
    fraction = x * (delta_x / squared_length) + y * (delta_y / squared_length)
    np.maximum(fraction, 0, out=fraction)
    np.minimum(fraction, 1, out=fraction)
    x = x - fraction * delta_x
    y = y - fraction * delta_y
    radius = fraction * delta_radius
    radius += start[3]
    squared_distance = x * x + y * y
    up = np.sqrt(np.maximum(radius * radius - squared_distance, 0))
    cover = radius - np.sqrt(squared_distance)
    cover += 0.5
    np.maximum(cover, 0, out=cover)
    np.minimum(cover, 1, out=cover)
    height = fraction * delta_z + FLATTEN * up
    height += EDGE * cover
    height += start[2] - EDGE
    shade = (x * light[0] + y * light[1] + up * light[2]) / radius
    if single:
        return cover, height, shade
    highest = np.argmax(height, axis=0)[None]
    return cover.max(axis=0), np.take_along_axis(height, highest, 0)[0], np.take_along_axis(shade, highest, 0)[0]
