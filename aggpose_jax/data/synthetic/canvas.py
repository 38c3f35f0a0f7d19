"""Shaded tapered capsules in a depth buffer: everything that has a body is painted from these."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic import textures

FLATTEN = 0.5  # heights count half against each other: things sink into one another where they touch
SHEET_DEPTH = -60.0


@dataclasses.dataclass(frozen=True)
class Group:
    """Capsules that are painted together.

    Attributes:
      shapes: [N, 8]: x, y, z, radius at one end, the same at the other; pixels.
      dark, lit: [N, 3] or [3] colours of the side away from and towards the light.
      tile, frame: a cloth's tile and where it lies, instead of the colours.
      lift: pixels by which the group lies higher than it is: what is painted on a surface is lifted over it.
    """

    shapes: np.ndarray
    dark: np.ndarray | None = None
    lit: np.ndarray | None = None
    tile: np.ndarray | None = None
    frame: np.ndarray | None = None
    lift: float = 0.0


class Canvas:
    """Colour [3, H, W] (times coverage), coverage [H, W] and depth [H, W] of what was painted."""

    def __init__(self, height: int, width: int, light: np.ndarray):
        """An empty canvas of a height and width in pixels; light [3] is the unit direction to the light."""
        self.colour = np.zeros((3, height, width), np.float32)
        self.cover = np.zeros((height, width), np.float32)
        self.depth = np.full((height, width), SHEET_DEPTH, np.float32)
        self.light = light.astype(np.float32)

    def paint(self, group: Group) -> None:
        """Paint a group where it lies higher than what is there."""
        window = self._window(group.shapes)
        if window is None:
            return
        cover, height, shade, which = _capsules(group.shapes, window, self.light)
        rows, columns = window
        depth = self.depth[rows, columns]
        height = height + group.lift
        weight = cover * np.clip(height - depth + 0.5, 0, 1)
        keep = 1 - weight
        colour = self.colour[:, rows, columns]
        colour *= keep
        colour += weight * _tint(group, window, shade, which)
        self.cover[rows, columns] *= keep
        self.cover[rows, columns] += weight
        depth += (weight > 0.5) * (height - depth)

    def _window(self, shapes: np.ndarray) -> tuple[slice, slice] | None:
        centres, radii = shapes[:, [[0, 1], [4, 5]]], shapes[:, [3, 7]][..., None]
        low = np.maximum(np.floor((centres - radii).min(axis=(0, 1)) - 1), 0).astype(int)
        high = np.ceil((centres + radii).max(axis=(0, 1)) + 2).astype(int)
        right, bottom = min(high[0], self.cover.shape[1]), min(high[1], self.cover.shape[0])
        if low[0] >= right or low[1] >= bottom:
            return None
        return slice(low[1], bottom), slice(low[0], right)


def _capsules(shapes: np.ndarray, window: tuple[slice, slice], light: np.ndarray) -> tuple[np.ndarray, ...]:
    """Coverage, height, shade (all [h, w]) and the index [h, w] (or 0) of the highest capsule in a window."""
    start, end = (
        shapes[:, :4].astype(np.float32).T[..., None, None],
        shapes[:, 4:].astype(np.float32).T[..., None, None],
    )
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, None, :] - start[0]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[None, :, None] - start[1]
    along = end - start
    length = np.maximum(along[0] ** 2 + along[1] ** 2, 1e-6)
    part = np.minimum(np.maximum(x * (along[0] / length) + y * (along[1] / length), 0), 1)
    x = x - part * along[0]
    y = y - part * along[1]
    radius = start[3] + part * along[3]
    distance = x * x + y * y
    up = np.sqrt(np.maximum(radius * radius - distance, 0))
    cover = np.minimum(np.maximum(radius - np.sqrt(distance) + 0.5, 0), 1)
    height = start[2] + part * along[2] + FLATTEN * up
    shade = (x * light[0] + y * light[1] + up * light[2]) / radius
    if len(shapes) == 1:
        return cover[0], height[0], shade[0], 0
    which = np.argmax(height + np.where(cover > 0.5, 1e3, 1e2 * cover), axis=0)
    pick = which[None]
    height, shade = np.take_along_axis(height, pick, 0)[0], np.take_along_axis(shade, pick, 0)[0]
    return cover.max(axis=0), height, shade, which


def _tint(group: Group, window: tuple[slice, slice], shade: np.ndarray, which: np.ndarray | int) -> np.ndarray:
    """[3, h, w] colours under a shade."""
    shade = 0.25 + 0.75 * np.maximum(shade, -0.2)
    if group.tile is not None:
        rows, columns = window
        frame = group.frame - [[0, 0, columns.start], [0, 0, rows.start]]
        cloth = textures.wrap(group.tile, frame, (columns.stop - columns.start, rows.stop - rows.start))
        return cloth.transpose(2, 0, 1) * (0.45 + 0.57 * shade)
    dark, lit = group.dark.astype(np.float32), group.lit.astype(np.float32)
    if dark.ndim == 1:
        return dark[:, None, None] + (lit - dark)[:, None, None] * shade
    return dark.T[:, which] + (lit - dark).T[:, which] * shade
