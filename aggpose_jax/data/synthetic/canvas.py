"""Shaded tapered capsules in a depth buffer: everything that has a body is painted from these."""

import dataclasses

import cv2
import numpy as np

from aggpose_jax.data.synthetic import textures

FLATTEN = 0.5  # heights count half against each other: things sink into one another where they touch
SHEET_DEPTH = -60.0
EDGE = 100.0  # how much lower, in pixels, a pixel counts that a capsule does not cover at all


@dataclasses.dataclass(frozen=True)
class Group:
    """Capsules of one material that are painted together.

    Attributes:
      shapes: [N, 8]: x, y, z, radius at one end, the same at the other; pixels.
      colours: [2, 3] of the side away from and towards the light.
      cloth, place: a cloth that was `textures.spread`, its angle and centre (x, y), instead of the colours.
      lift: pixels by which the group counts as higher than it is.
      marks: spots (start [4], end [4], radius, colour [3]) painted on the surface that lies highest there.
    """

    shapes: np.ndarray
    colours: np.ndarray | None = None
    cloth: np.ndarray | None = None
    place: tuple[float, float, float] | None = None
    lift: float = 0.0
    marks: tuple = ()


class Canvas:
    """Coverage, depth, shade and material [H, W] of what was painted."""

    def __init__(self, height: int, width: int, light: np.ndarray):
        """An empty canvas of a height and width in pixels; light [3] is the unit direction to the light."""
        self.cover = np.zeros((height, width), np.float32)
        self.depth = np.full((height, width), SHEET_DEPTH - EDGE, np.float32)
        self._shade = np.zeros((height, width), np.float32)
        self._material = np.zeros((height, width), np.uint8)
        self._light = light.tolist()
        self._colours = np.zeros((2, 3, 256), np.float32)  # of each material; 0 is none
        self._materials = 0
        self._clothes = []
        self._extent = slice(0, 0), slice(0, 0)

    def paint(self, group: Group) -> None:
        """Paint a group where it lies higher than what is there, then its marks."""
        window = self._window(group.shapes)
        if window is None:
            return
        self._extent = tuple(_hull(a, b) for a, b in zip(self._extent, window, strict=True))
        material = self._add(group.colours)
        if group.cloth is not None:
            self._clothes.append((material, window, group))
        cover, height, shade = _capsules(group.shapes, window, self._light)
        height += group.lift
        depth = self.depth[window]
        higher = height > depth
        np.copyto(depth, height, where=higher)
        np.copyto(self._shade[window], shade, where=higher)
        np.copyto(self._material[window], material, where=higher)
        np.maximum(self.cover[window], cover, out=self.cover[window])
        for mark in group.marks:
            self._mark(*mark)

    def add_to(self, picture: np.ndarray) -> None:
        """Add the colours, times coverage, to a picture [3, H, W] float32 of 0..255."""
        if not self._materials:
            return
        rows, columns = self._extent
        material = np.ascontiguousarray(self._material[rows, columns])
        shade = 0.25 + 0.75 * np.maximum(self._shade[rows, columns], -0.2)
        dark, lit = self._colours
        planes = [cv2.LUT(material, dark[c]) + cv2.LUT(material, lit[c] - dark[c]) * shade for c in range(3)]
        shade *= 0.57
        shade += 0.45
        for number, window, group in self._clothes:
            within = _inside(window, self._extent)
            (angle, x, y), size = group.place, (window[1].stop - window[1].start, window[0].stop - window[0].start)
            cloth = textures.lay(group.cloth, angle, x - window[1].start, y - window[0].start, size)
            here, lit = material[within] == number, shade[within]
            for plane, pattern in zip(planes, cv2.split(cloth), strict=True):
                np.copyto(plane[within], cv2.multiply(pattern, lit, dtype=cv2.CV_32F), where=here)
        cover = self.cover[rows, columns]
        for plane, whole in zip(planes, picture, strict=True):
            plane *= cover
            whole[rows, columns] += plane

    def _add(self, colours: np.ndarray | None) -> int:
        self._materials += 1
        if colours is not None:
            self._colours[:, :, self._materials] = colours
        return self._materials

    def _mark(self, start: np.ndarray, end: np.ndarray, radius: float, colour: np.ndarray) -> None:
        """A spot or stroke in sixteenths of a pixel; it takes the shade of what it lies on."""
        material = self._add(np.stack([0.55 * colour, colour]))
        ends = [tuple(int(v) for v in np.rint(16 * p[:2])) for p in (start, end)]
        size = radius * start[3]
        if ends[0] == ends[1]:
            cv2.circle(self._material, ends[0], round(16 * size), material, -1, cv2.LINE_8, 4)
        else:
            cv2.line(self._material, *ends, material, max(round(2 * size), 1), cv2.LINE_8, 4)

    def _window(self, shapes: np.ndarray) -> tuple[slice, slice] | None:
        radius = shapes[:, 3::4].max()
        low, high = shapes.reshape(-1, 4).min(axis=0) - radius, shapes.reshape(-1, 4).max(axis=0) + radius
        rows = slice(max(int(low[1]) - 1, 0), min(int(high[1]) + 3, self.cover.shape[0]))
        columns = slice(max(int(low[0]) - 1, 0), min(int(high[0]) + 3, self.cover.shape[1]))
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)


def _hull(a: slice, b: slice) -> slice:
    """The shortest slice that holds both; an empty one counts for nothing."""
    return b if a.start == a.stop else slice(min(a.start, b.start), max(a.stop, b.stop))


def _inside(window: tuple[slice, slice], extent: tuple[slice, slice]) -> tuple[slice, ...]:
    """A window of the frame as a window of the extent."""
    return tuple(slice(w.start - e.start, w.stop - e.start) for w, e in zip(window, extent, strict=True))


def _capsules(shapes: np.ndarray, window: tuple[slice, slice], light: list[float]) -> tuple[np.ndarray, ...]:
    """Coverage, height and shade (all [h, w]) of the highest capsule in a window."""
    single = len(shapes) == 1
    start, end = shapes.reshape(2, 4).tolist() if single else shapes.astype(np.float32).T.reshape(2, 4, -1, 1, 1)
    lean_x, lean_y, lean_z, widening = (b - a for a, b in zip(start, end, strict=True))
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - start[0]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - start[1]
    length = lean_x * lean_x + lean_y * lean_y + 1e-6
    part = x * (lean_x / length) + y * (lean_y / length)
    np.maximum(part, 0, out=part)
    np.minimum(part, 1, out=part)
    x = x - part * lean_x
    y = y - part * lean_y
    radius = part * widening
    radius += start[3]
    squared = x * x + y * y
    up = np.sqrt(np.maximum(radius * radius - squared, 0))
    cover = radius - np.sqrt(squared)
    cover += 0.5
    np.maximum(cover, 0, out=cover)
    np.minimum(cover, 1, out=cover)
    height = part * lean_z + FLATTEN * up
    height += EDGE * cover
    height += start[2] - EDGE
    shade = (x * light[0] + y * light[1] + up * light[2]) / radius
    if single:
        return cover, height, shade
    which = np.argmax(height, axis=0)[None]
    return cover.max(axis=0), np.take_along_axis(height, which, 0)[0], np.take_along_axis(shade, which, 0)[0]
