"""How a scene looks: sheet, skin, hair, clothes, light and the camera's faults, drawn from a split's ranges."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic import textures
from aggpose_jax.data.synthetic.ranges import Ranges, pick

# Outfit: how much of trunk, arms and legs is clothed. 1 on an arm or leg is the elbow or knee, 2 the wrist or ankle.
OUTFITS = {
    "nappy": {"share": 0.30, "trunk": False, "arm": (0, 0), "leg": (0, 0), "nappy": True},
    "bodysuit": {"share": 0.25, "trunk": True, "arm": (0, 0.7), "leg": (0.15, 0.3), "nappy": False},
    "sleepsuit": {"share": 0.20, "trunk": True, "arm": (1.8, 1.95), "leg": (1.85, 1.97), "nappy": False},
    "shirt": {"share": 0.15, "trunk": True, "arm": (0.4, 1.9), "leg": (0, 0), "nappy": True},
    "leggings": {"share": 0.10, "trunk": True, "arm": (0.4, 1.9), "leg": (1.4, 1.95), "nappy": False},
}
LIGHTEST, DARKEST = np.array([250.0, 214, 190]), np.array([104.0, 66, 46])


@dataclasses.dataclass(frozen=True)
class Cloth:
    """A repeating tile [T, T, 3], and the side of one period in statures."""

    tile: np.ndarray
    period: float


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Everything about a picture but where things are. Colours are [3] RGB of 0..255; lit and dark sides where paired.

    Attributes:
      sheet, sheet_period: tile and the side of one period in pixels.
      sheet_place, sheet_folds: angle and a corner of a tile in the frame; seed and depth of the creases.
      skin, hair, nappy: [2, 3] dark and lit colours; hair None for a bald infant.
      outfit: key of `OUTFITS`; sleeve, trouser: how far arms and legs are clothed.
      top, bottom, socks: cloths, None for bare skin; without trousers the bottom is the top.
      cover: the blanket's cloth; carer: the caregiver's skin; toy: [2, 3] colours.
      light: [3] direction to the light; gain: [3] colour of the light; slope: [2] change of brightness over the frame.
      eyes_open, iris: eyes. mosaic: side of the blocks over the face in pixels, 0 for none.
      blur: standard deviation in pixels; noise: standard deviation in levels.
    """

    sheet: np.ndarray
    sheet_period: float
    sheet_place: tuple[float, float, float]
    sheet_folds: tuple[int, float]
    skin: np.ndarray
    hair: np.ndarray | None
    nappy: np.ndarray
    outfit: str
    sleeve: float
    trouser: float
    top: Cloth | None
    bottom: Cloth | None
    socks: Cloth | None
    cover: Cloth
    carer: np.ndarray
    toy: np.ndarray
    light: np.ndarray
    gain: np.ndarray
    slope: np.ndarray
    eyes_open: bool
    iris: np.ndarray
    mosaic: int
    blur: float
    noise: float


def draw_appearance(rng: np.random.Generator, ranges: Ranges) -> Appearance:
    """A random appearance of a split."""
    return Appearance(**_draw_sheet(rng, ranges), **_draw_infant(rng, ranges), **_draw_clothes(rng, ranges),
                      **_draw_light(rng))  # fmt: skip


def _draw_sheet(rng: np.random.Generator, ranges: Ranges) -> dict:
    pattern = str(rng.choice(ranges.sheet_patterns))
    hue = pick(rng, ranges.sheet_hue)
    ground = textures.colour(hue, rng.uniform(0.05, 0.55), rng.uniform(0.55, 0.98))
    metric = textures.colour(pick(rng, ranges.sheet_hue), rng.uniform(0.05, 0.7), rng.uniform(0.35, 1.0))
    return {
        "sheet": textures.tile(pattern, ground, metric, rng),
        "sheet_period": rng.uniform(16, 72),
        "sheet_place": (rng.uniform(0, 2 * np.pi), *rng.uniform(130, 190, 2)),
        "sheet_folds": (int(rng.integers(1 << 31)), rng.uniform(0.04, 0.2)),
    }


def skin_colours(melanin: float, rng: np.random.Generator) -> np.ndarray:
    """[2, 3] dark and lit side of a skin; a little ruddy or sallow by chance."""
    lit = LIGHTEST + melanin * (DARKEST - LIGHTEST) + rng.normal(0, 5, 3)
    return np.stack([lit * (0.52, 0.42, 0.40), lit * 1.06])


def _draw_infant(rng: np.random.Generator, ranges: Ranges) -> dict:
    melanin = pick(rng, ranges.melanin)
    hair = textures.colour(rng.uniform(15, 40), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.3 + 0.5 * (1 - melanin)))
    return {
        "skin": skin_colours(melanin, rng),
        "hair": np.stack([0.5 * hair, hair * 1.1]) if rng.random() < 0.75 else None,
        "eyes_open": bool(rng.random() < 0.65),
        "iris": textures.colour(rng.choice([25, 210]), 0.5, rng.uniform(0.1, 0.4)),
        "mosaic": int(rng.integers(6, 11)) if rng.random() < 0.2 else 0,
    }


def _draw_cloth(rng: np.random.Generator, ranges: Ranges) -> Cloth:
    pattern = str(rng.choice(ranges.cloth_patterns))
    ground = textures.colour(pick(rng, ranges.cloth_hue), rng.uniform(0.1, 0.7), rng.uniform(0.5, 1.0))
    metric = textures.colour(pick(rng, ranges.cloth_hue), rng.uniform(0.1, 0.7), rng.uniform(0.4, 1.0))
    return Cloth(textures.tile(pattern, ground, metric, rng), rng.uniform(0.04, 0.13))


def _draw_clothes(rng: np.random.Generator, ranges: Ranges) -> dict:
    outfit = str(rng.choice(list(OUTFITS), p=[o["share"] for o in OUTFITS.values()]))
    top = _draw_cloth(rng, ranges) if OUTFITS[outfit]["trunk"] else None
    bottom = _draw_cloth(rng, ranges) if outfit == "leggings" else top
    socks = _draw_cloth(rng, ranges) if rng.random() < 0.3 else None
    white = textures.colour(rng.uniform(0, 360), rng.uniform(0, 0.12), rng.uniform(0.85, 0.97))
    toy = textures.colour(pick(rng, ranges.cloth_hue), rng.uniform(0.5, 0.9), rng.uniform(0.6, 1.0))
    return {
        "outfit": outfit,
        "sleeve": rng.uniform(*OUTFITS[outfit]["arm"]),
        "trouser": rng.uniform(*OUTFITS[outfit]["leg"]),
        "top": top,
        "bottom": bottom,
        "socks": socks,
        "cover": _draw_cloth(rng, ranges),
        "nappy": np.stack([0.6 * white, white]),
        "carer": skin_colours(pick(rng, ranges.melanin), rng),
        "toy": np.stack([0.45 * toy, toy * 1.1]),
    }


def _draw_light(rng: np.random.Generator) -> dict:
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
    direction = np.array([np.cos(angle) * np.sin(height), np.sin(angle) * np.sin(height), np.cos(height)])
    warmth, exposure = rng.uniform(-0.12, 0.12), rng.uniform(0.72, 1.12)
    return {
        "light": direction,
        "gain": exposure * np.array([1 + warmth, 1.0, 1 - warmth]),
        "slope": rng.uniform(-0.2, 0.2, 2),
        "blur": rng.uniform(0.3, 1.1),
        "noise": rng.uniform(1, 9),
    }
