"""The appearance of a scene (bed sheet, skin, hair, clothes, light, blur and noise), sampled from a split's ranges."""

import dataclasses
from typing import TypedDict

import numpy as np

from aggpose_jax.data.synthetic import textures
from aggpose_jax.data.synthetic.ranges import Ranges, sample_uniform


class Outfit(TypedDict):
    """The clothes that an infant wears.

    Attributes:
      probability: of the outfit; the probabilities of all outfits sum to 1.
      trunk: whether the trunk is clothed.
      arm, leg: interval of how far arms and legs are clothed: 0 is the shoulder or hip, 1 the elbow or knee, 2 the
        wrist or ankle.
      nappy: whether a nappy is visible.
    """

    probability: float
    trunk: bool
    arm: tuple[float, float]
    leg: tuple[float, float]
    nappy: bool


OUTFITS: dict[str, Outfit] = {
    "nappy": {"probability": 0.30, "trunk": False, "arm": (0, 0), "leg": (0, 0), "nappy": True},
    "bodysuit": {"probability": 0.25, "trunk": True, "arm": (0, 0.7), "leg": (0.15, 0.3), "nappy": False},
    "sleepsuit": {"probability": 0.20, "trunk": True, "arm": (1.8, 1.95), "leg": (1.85, 1.97), "nappy": False},
    "shirt": {"probability": 0.15, "trunk": True, "arm": (0.4, 1.9), "leg": (0, 0), "nappy": True},
    "leggings": {"probability": 0.10, "trunk": True, "arm": (0.4, 1.9), "leg": (1.4, 1.95), "nappy": False},
}
LIGHTEST, DARKEST = np.array([250.0, 214, 190]), np.array([104.0, 66, 46])  # RGB of skin of melanin 0 and 1


@dataclasses.dataclass(frozen=True)
class Cloth:
    """A fabric: a tile uint8 [T, T, 3] RGB that repeats, and the length of one period in statures."""

    tile: np.ndarray
    period: float


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Everything that determines an image except the positions of things.

    Colours are RGB of 0..255: [3], or [2, 3] for the colours of the sides away from the light (dark) and towards it
    (lit).

    Attributes:
      sheet, sheet_period: tile [T, T, 3] of the bed sheet, and the length of one period in pixels.
      sheet_placement: angle in radians, and x and y in pixels of the centre of the repeated tile in the frame.
      sheet_folds: random seed and depth of the creases.
      skin, hair, nappy: [2, 3] dark and lit colours; hair is None for a bald infant.
      outfit: key of `OUTFITS`.
      sleeve, trouser: how far arms and legs are clothed, as in `OUTFITS`.
      top, bottom, socks: fabrics, None for bare skin. Without trousers, bottom is the same object as top.
      blanket: fabric of the blanket.
      caregiver, toy: [2, 3] dark and lit colours of the caregiver's skin and of the toy.
      light: [3] unit direction to the light.
      gain: [3] colour of the light, a factor of each channel.
      slope: [2] relative change of brightness from the centre of the frame to its right and bottom edges.
      eyes_open: whether the eyes are open.
      iris: [3] colour of the eyes.
      mosaic: side in pixels of the square blocks that hide the face, 0 for none.
      blur: standard deviation of the blur in pixels.
      noise: standard deviation of the sensor noise in grey levels.
    """

    sheet: np.ndarray
    sheet_period: float
    sheet_placement: tuple[float, float, float]
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
    blanket: Cloth
    caregiver: np.ndarray
    toy: np.ndarray
    light: np.ndarray
    gain: np.ndarray
    slope: np.ndarray
    eyes_open: bool
    iris: np.ndarray
    mosaic: int
    blur: float
    noise: float


def sample_appearance(rng: np.random.Generator, ranges: Ranges) -> Appearance:
    """Returns a random appearance (bed sheet, infant, clothes, light) within the ranges of a split."""
    return Appearance(**_sample_sheet(rng, ranges), **_sample_infant(rng, ranges), **_sample_clothes(rng, ranges),
                      **_sample_light(rng))  # fmt: skip


def _sample_sheet(rng: np.random.Generator, ranges: Ranges) -> dict:
    pattern = str(rng.choice(ranges.sheet_patterns))
    hue = sample_uniform(rng, ranges.sheet_hue)
    background = textures.colour(hue, rng.uniform(0.05, 0.55), rng.uniform(0.55, 0.98))
    foreground = textures.colour(sample_uniform(rng, ranges.sheet_hue), rng.uniform(0.05, 0.7), rng.uniform(0.35, 1.0))
    return {
        "sheet": textures.tile(pattern, background, foreground, rng),
        "sheet_period": rng.uniform(16, 72),
        "sheet_placement": (rng.uniform(0, 2 * np.pi), *rng.uniform(130, 190, 2)),
        "sheet_folds": (int(rng.integers(1 << 31)), rng.uniform(0.04, 0.2)),
    }


def skin_colours(melanin: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the [2, 3] dark and lit colours of a skin tone (melanin 0..1), with a small random change of hue."""
    lit = LIGHTEST + melanin * (DARKEST - LIGHTEST) + rng.normal(0, 5, 3)
    return np.stack([lit * (0.52, 0.42, 0.40), lit * 1.06])


def _sample_infant(rng: np.random.Generator, ranges: Ranges) -> dict:
    melanin = sample_uniform(rng, ranges.melanin)
    hair = textures.colour(rng.uniform(15, 40), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.3 + 0.5 * (1 - melanin)))
    return {
        "skin": skin_colours(melanin, rng),
        "hair": np.stack([0.5 * hair, hair * 1.1]) if rng.random() < 0.75 else None,
        "eyes_open": bool(rng.random() < 0.65),
        "iris": textures.colour(rng.choice([25, 210]), 0.5, rng.uniform(0.1, 0.4)),
        "mosaic": int(rng.integers(6, 11)) if rng.random() < 0.2 else 0,
    }


def _sample_cloth(rng: np.random.Generator, ranges: Ranges) -> Cloth:
    pattern = str(rng.choice(ranges.cloth_patterns))
    background = textures.colour(sample_uniform(rng, ranges.cloth_hue), rng.uniform(0.1, 0.7), rng.uniform(0.5, 1.0))
    foreground = textures.colour(sample_uniform(rng, ranges.cloth_hue), rng.uniform(0.1, 0.7), rng.uniform(0.4, 1.0))
    return Cloth(textures.tile(pattern, background, foreground, rng), rng.uniform(0.04, 0.13))


def _sample_clothes(rng: np.random.Generator, ranges: Ranges) -> dict:
    outfit = str(rng.choice(list(OUTFITS), p=[outfit_options["probability"] for outfit_options in OUTFITS.values()]))
    top = _sample_cloth(rng, ranges) if OUTFITS[outfit]["trunk"] else None
    bottom = _sample_cloth(rng, ranges) if outfit == "leggings" else top
    socks = _sample_cloth(rng, ranges) if rng.random() < 0.3 else None
    white = textures.colour(rng.uniform(0, 360), rng.uniform(0, 0.12), rng.uniform(0.85, 0.97))
    toy = textures.colour(sample_uniform(rng, ranges.cloth_hue), rng.uniform(0.5, 0.9), rng.uniform(0.6, 1.0))
    return {
        "outfit": outfit,
        "sleeve": rng.uniform(*OUTFITS[outfit]["arm"]),
        "trouser": rng.uniform(*OUTFITS[outfit]["leg"]),
        "top": top,
        "bottom": bottom,
        "socks": socks,
        "blanket": _sample_cloth(rng, ranges),
        "nappy": np.stack([0.6 * white, white]),
        "caregiver": skin_colours(sample_uniform(rng, ranges.melanin), rng),
        "toy": np.stack([0.45 * toy, toy * 1.1]),
    }


def _sample_light(rng: np.random.Generator) -> dict:
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
