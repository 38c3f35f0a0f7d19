"""What the synthetic infants of each split wear, lie on and are filmed by.

Training, validation and test have sheets, clothes, clutter and cameras of their own. A choice made on validation
infants, and a result on test infants, therefore says how a network does on things that training never showed.
"""

import dataclasses

from aggpose_jax.data.synthetic.camera import Framing

Intervals = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Style:
    """The looks of a split.

    Attributes:
      sheets, fabrics: patterns (keys of `textures.PATTERNS`) of what infants lie on and of their clothes.
      hues: intervals of the hues of both in degrees.
      outfits: names in `clothes.OUTFITS`.
      extras: garments that some infants wear in addition.
      clutter: kinds of things around, see `staging.CLUTTER`.
      framing: the cameras.
    """

    sheets: tuple[str, ...]
    fabrics: tuple[str, ...]
    hues: Intervals
    outfits: tuple[str, ...]
    extras: tuple[str, ...]
    clutter: tuple[str, ...]
    framing: Framing


STYLES = {
    "train": Style(
        sheets=("plain", "stripes", "checks", "dots", "blotches"),
        fabrics=("plain", "stripes", "checks", "dots", "blotches"),
        hues=((0, 55), (90, 150), (190, 260), (295, 350)),
        outfits=(
            "nappy", "bodysuit", "long_bodysuit", "vest_nappy", "romper", "sleepsuit", "shirt_trousers", "gown",
            "nothing",
        ),
        extras=("socks", "mittens", "hat", "bib"),
        clutter=("toy", "hand", "pillow", "cable", "blanket", "rails"),
        framing=Framing(tilts=((0, 12), (0, 12), (18, 34), (42, 56), (62, 74))),
    ),
    "val": Style(
        sheets=("gingham", "zigzag"),
        fabrics=("gingham", "zigzag"),
        hues=((55, 72), (150, 170), (260, 278)),
        outfits=("shirt_nappy", "short_romper"),
        extras=("socks", "hat", "hood"),
        clutter=("toy", "hand", "nest", "blanket"),
        framing=Framing(tilts=((12, 15), (34, 38))),
    ),
    "test": Style(
        sheets=("flowers", "diamonds"),
        fabrics=("flowers", "diamonds"),
        hues=((72, 90), (170, 190), (278, 295)),
        outfits=("long_bodysuit_trousers", "bodysuit_shorts", "gown"),
        extras=("mittens", "hood", "bib"),
        clutter=("hand", "pillow", "nest", "cable", "rails"),
        framing=Framing(tilts=((15, 18), (38, 42), (56, 62))),
    ),
}  # fmt: skip
