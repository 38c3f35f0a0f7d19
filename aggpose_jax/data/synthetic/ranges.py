"""The ranges that each split samples from. They are disjoint, so that a test infant has no value seen in training."""

import dataclasses

import numpy as np

Intervals = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Ranges:
    """The ranges of a split. Intervals are half open, [low, high); samples are uniform over their union.

    Attributes:
      sheet_patterns, cloth_patterns: names of pattern families (keys of `textures.PATTERNS`).
      sheet_hue, cloth_hue: hues in degrees.
      melanin: skin tone, from 0 (lightest) to 1 (darkest).
      limb: length of an arm or a leg, relative to the standard infant.
      head: size of the head, relative to the standard infant.
      girth: thickness of the limbs, relative to the standard infant.
    """

    sheet_patterns: tuple[str, ...]
    cloth_patterns: tuple[str, ...]
    sheet_hue: Intervals
    cloth_hue: Intervals
    melanin: Intervals
    limb: Intervals
    head: Intervals
    girth: Intervals


TRAIN = Ranges(
    sheet_patterns=("plain", "stripes", "checks", "dots", "blotches"),
    cloth_patterns=("plain", "stripes", "checks", "dots", "blotches"),
    sheet_hue=((0, 50), (95, 150), (195, 255), (300, 345)),
    cloth_hue=((15, 70), (110, 165), (215, 270), (310, 360)),
    melanin=((0.0, 0.15), (0.25, 0.45), (0.55, 0.75), (0.85, 1.0)),
    limb=((0.90, 0.97), (1.03, 1.10)),
    head=((0.92, 0.98), (1.02, 1.08)),
    girth=((0.88, 1.06),),
)

TEST = Ranges(
    sheet_patterns=("gingham", "flowers", "diamonds", "zigzag"),
    cloth_patterns=("gingham", "flowers", "diamonds", "zigzag"),
    sheet_hue=((55, 90), (155, 190), (260, 295)),
    cloth_hue=((75, 105), (170, 210), (275, 305)),
    melanin=((0.16, 0.24), (0.46, 0.54), (0.76, 0.84)),
    limb=((0.97, 1.03), (1.10, 1.13)),
    head=((0.98, 1.02), (1.08, 1.10)),
    girth=((1.06, 1.12),),
)


def sample_uniform(rng: np.random.Generator, intervals: Intervals) -> float:
    """Returns a random value, uniform over the union of the intervals."""
    widths = np.array([high - low for low, high in intervals])
    position = rng.random() * widths.sum()
    for (low, _), width in zip(intervals, widths, strict=True):
        if position < width:
            return float(low + position)
        position -= width
    return float(intervals[-1][0])  # a rounding error moved the position past the last width
