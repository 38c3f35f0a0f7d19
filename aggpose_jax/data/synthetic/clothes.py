"""Clothes of infants: which part of the body each garment covers, its fabric, and how far it stands off the skin."""

import dataclasses

import cv2
import numpy as np

from aggpose_jax.data.synthetic.body_map import BodyMap

ALL = (-9.0, 9.0)


@dataclasses.dataclass(frozen=True)
class Cut:
    """The part of the body that a garment covers: the points whose coordinates (see `BodyMap`) lie in all intervals.

    `loose` is how far the fabric stands off the skin, in metres.
    """

    arm: tuple[float, float] = ALL
    leg: tuple[float, float] = ALL
    trunk: tuple[float, float] = ALL
    skull: tuple[float, float] = (-9.0, -0.5)
    face: tuple[float, float] = ALL
    front: tuple[float, float] = ALL
    across: float = 9.0
    loose: float = 0.004


def _body(arm: float, leg: float, low: float = -9.0, high: float = 0.96, loose: float = 0.004) -> Cut:
    return Cut(arm=(-9.0, arm), leg=(-9.0, leg), trunk=(low, high), loose=loose)


# Intervals from which the cut of each garment is sampled: two cuts, of which a random mean is taken.
CUTS: dict[str, tuple[Cut, Cut]] = {
    "nappy": (_body(-0.7, 0.2, high=0.3, loose=0.008), _body(-0.7, 0.42, high=0.45, loose=0.02)),
    "bodysuit": (_body(0.25, 0.1, high=0.93), _body(0.85, 0.32, high=1.02, loose=0.008)),
    "long_bodysuit": (_body(1.6, 0.1, high=0.93), _body(1.97, 0.32, high=1.02, loose=0.009)),
    "vest": (_body(-0.05, 0.1, high=0.86), _body(0.12, 0.32, high=0.95, loose=0.007)),
    "romper": (_body(1.3, 1.3, high=0.95, loose=0.006), _body(1.97, 1.95, high=1.04, loose=0.014)),
    "short_romper": (_body(0.2, 0.3, high=0.93, loose=0.006), _body(0.8, 0.9, high=1.0, loose=0.014)),
    "sleepsuit": (_body(1.85, 9.0, high=0.97, loose=0.006), _body(1.98, 9.0, high=1.05, loose=0.014)),
    "shirt": (_body(0.4, -0.4, low=0.1, high=0.93, loose=0.006), _body(1.9, -0.4, low=0.3, high=1.02, loose=0.014)),
    "trousers": (_body(-0.7, 1.3, high=0.3, loose=0.005), _body(-0.7, 1.97, high=0.45, loose=0.014)),
    "shorts": (_body(-0.7, 0.4, high=0.3, loose=0.008), _body(-0.7, 0.95, high=0.42, loose=0.016)),
    "gown": (_body(0.9, 0.2, high=0.93, loose=0.01), _body(1.95, 0.4, high=1.04, loose=0.022)),
    "socks": (Cut(leg=(1.5, 9.0)), Cut(leg=(1.9, 9.0), loose=0.007)),
    "mittens": (Cut(arm=(1.8, 9.0), loose=0.006), Cut(arm=(1.95, 9.0), loose=0.014)),
    "hat": (Cut(skull=(0.55, 9.0), loose=0.004), Cut(skull=(0.72, 9.0), loose=0.014)),
    "hood": (Cut(skull=(-0.4, 9.0), face=(-9.0, 0.35), loose=0.006),
             Cut(skull=(-0.4, 9.0), face=(-9.0, 0.75), loose=0.016)),
    "bib": (Cut(trunk=(0.62, 1.0), front=(0.2, 9.0), across=0.035, arm=(-9.0, -0.5), loose=0.007),
            Cut(trunk=(0.78, 1.05), front=(0.2, 9.0), across=0.055, arm=(-9.0, -0.5), loose=0.012)),
}  # fmt: skip

# Outfits: garments from the skin outwards.
OUTFITS: dict[str, tuple[str, ...]] = {
    "nappy": ("nappy",),
    "bodysuit": ("bodysuit",),
    "long_bodysuit": ("long_bodysuit",),
    "long_bodysuit_trousers": ("long_bodysuit", "trousers"),
    "vest_nappy": ("nappy", "vest"),
    "romper": ("romper",),
    "short_romper": ("short_romper",),
    "sleepsuit": ("sleepsuit",),
    "shirt_nappy": ("nappy", "shirt"),
    "shirt_trousers": ("shirt", "trousers"),
    "bodysuit_shorts": ("bodysuit", "shorts"),
    "gown": ("gown",),
    "nothing": (),
}
WITH_SKIRT = {"gown"}  # A cloth from the waist over the legs belongs to these, see `clutter.skirt`.


@dataclasses.dataclass(frozen=True)
class Fabric:
    """A printed fabric: a tile uint8 [T, T, 3] that repeats after `period` metres, turned by `angle` in radians."""

    tile: np.ndarray
    period: float
    angle: float

    def at(self, pixel: float) -> np.ndarray:
        """Returns the tile uint8 [S, S, 3], made smaller until its pixels are about `pixel` metres long."""
        side = int(np.clip(self.period / max(pixel, 1e-4), 1, len(self.tile)))
        return cv2.resize(self.tile, (side, side), interpolation=cv2.INTER_AREA)

    def colours(self, positions: np.ndarray, pixel: float) -> np.ndarray:
        """Returns the RGB float32 [N, 3] at positions [N, 2] in metres, averaged over pixels of `pixel` metres."""
        tile = self.at(pixel)
        side = len(tile)
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = positions @ np.array([[c, -s], [s, c]], np.float32)
        column, row = (np.floor(turned * np.float32(side / self.period)).astype(np.int32) % side).T
        return tile.reshape(-1, 3)[row * side + column].astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Garment:
    """A garment that is worn.

    Its name (a key of `CUTS`), cut, fabric, colour of the hem, RGB [3] or None, and folds (see `sample_folds`).
    """

    name: str
    cut: Cut
    fabric: Fabric
    hem: np.ndarray | None
    folds: np.ndarray

    def cover(self, body: BodyMap) -> np.ndarray:
        """Returns [N] how far inside the garment each point is, in lengths of limb segments; below 0 outside."""
        cut = self.cut
        margins = []
        for values, (low, high), unit in (
            (body.arm, cut.arm, 1.0), (body.leg, cut.leg, 1.0), (body.trunk, cut.trunk, 2.2),
            (body.skull, cut.skull, 1.3), (body.face, cut.face, 0.8), (body.front, cut.front, 1.0),
        ):  # fmt: skip
            if values is body.trunk and high < 8:  # The neckline bounds the trunk only, not lifted arms or the legs.
                margins.append(np.where(body.arm > 0.1, 9.0, unit * (high - values)))
            elif high < 8:
                margins.append(unit * (high - values))
            if low > -8:
                margins.append(unit * (values - low))
        if cut.across < 8:
            margins.append(10 * (cut.across - np.abs(body.across)))
        return np.min(margins, axis=0)

    def relief(self, body: BodyMap) -> np.ndarray:
        """Returns [N] how far the fabric stands off the skin at each point, in metres, where it covers it."""
        waves = np.zeros(len(body.arm), np.float32)
        for x, y, z, phase, depth in self.folds:
            waves += depth * np.sin(body.rest @ np.array([x, y, z], np.float32) + phase)
        return self.cut.loose * np.clip(1 + waves, 0.2, 2.2)


def sample_cut(rng: np.random.Generator, name: str) -> Cut:
    """Returns a random cut of a garment of `CUTS`."""
    first, second = CUTS[name]
    share = rng.random()

    def mean(a, b):
        return tuple(map(mean, a, b)) if isinstance(a, tuple) else (1 - share) * a + share * b

    fields = [field.name for field in dataclasses.fields(Cut)]
    return Cut(**{field: mean(getattr(first, field), getattr(second, field)) for field in fields})


def sample_folds(rng: np.random.Generator) -> np.ndarray:
    """Returns the waves [6, 5] of the folds of a garment: wave vector in radians per metre, phase and depth."""
    direction = rng.standard_normal((6, 3))
    length = rng.uniform(0.02, 0.09, (6, 1))
    waves = 2 * np.pi * direction / np.linalg.norm(direction, axis=1, keepdims=True) / length
    return np.concatenate([waves, rng.uniform(0, 6.3, (6, 1)), rng.uniform(0.1, 0.45, (6, 1))], axis=1)
