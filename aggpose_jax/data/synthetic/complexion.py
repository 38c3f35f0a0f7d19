"""The colours of skin, hair, lips and eyes on the surface of the body."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic.body_map import BodyMap

# RGB of skin from the lightest to the darkest.
TONES = np.array(
    [[247, 221, 205], [232, 192, 168], [208, 158, 126], [166, 114, 82], [118, 76, 53], [74, 48, 38]], float
)


@dataclasses.dataclass(frozen=True)
class Complexion:
    """The colours of one infant.

    Attributes:
      melanin: skin tone, from 0 (lightest) to 1 (darkest).
      skin, flush, lips, hair, iris: RGB [3]; `flush` is added to skin where blood shows.
      hairline: height on the skull (see `BodyMap.skull`) above which hair grows; above 1 without hair.
      eyes: how far the eyes are open, 0..1.
      waves: [5, 5] wave vector in radians per metre, phase and strength of the blotches of the skin.
      plasters: [P, 6] plasters and sensors: centre in the rest pose and radius in metres, grey value and redness.
    """

    melanin: float
    skin: np.ndarray
    flush: np.ndarray
    lips: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    hairline: float
    eyes: float
    waves: np.ndarray
    plasters: np.ndarray


def tone(melanin: float) -> np.ndarray:
    """Returns the RGB [3] of a skin of a melanin 0..1."""
    return np.array([np.interp(melanin, np.linspace(0, 1, len(TONES)), TONES[:, i]) for i in range(3)])


def sample_complexion(rng: np.random.Generator, body: BodyMap, sensors: bool) -> Complexion:
    """Returns random colours; skin tones are even over the whole range."""
    melanin = rng.random()
    skin = tone(melanin) * (1 + rng.normal(0, 0.035, 3))
    dark = rng.uniform(0.1, 0.35 + 0.5 * (1 - melanin) * rng.random())
    direction = rng.standard_normal((5, 3))
    waves = 2 * np.pi * direction / np.linalg.norm(direction, axis=1, keepdims=True) / rng.uniform(0.05, 0.2, (5, 1))
    count = int(rng.integers(1, 5)) if sensors else 0
    # The head has a third of all vertices, but seldom a plaster.
    places = np.flatnonzero((body.skull < 0) | (rng.random() < 0.2))
    centres = body.rest[rng.choice(places, count)]
    plasters = np.concatenate([centres, rng.uniform(0.006, 0.02, (count, 1)), rng.uniform(170, 250, (count, 1)),
                               rng.uniform(0, 40, (count, 1))], axis=1)  # fmt: skip
    return Complexion(
        melanin=float(melanin),
        skin=skin,
        flush=np.array([14.0, -20, -18]) * rng.uniform(0.2, 1.4) * (1.1 - 0.6 * melanin),
        lips=skin * np.array([0.9, 0.62, 0.62]),
        hair=255 * dark * np.array([1.0, rng.uniform(0.7, 0.9), rng.uniform(0.45, 0.75)]),
        iris=np.array([[70, 48, 32], [96, 118, 140], [50, 36, 28]], float)[rng.integers(3)],
        hairline=float(rng.choice([1.2, rng.uniform(0.5, 0.72)], p=[0.25, 0.75])),
        eyes=float(rng.choice([0.0, 1.0], p=[0.35, 0.65])),
        waves=np.concatenate([waves, rng.uniform(0, 6.3, (5, 1)), rng.uniform(0.1, 0.5, (5, 1))], axis=1),
        plasters=plasters,
    )


def colours(complexion: Complexion, body: BodyMap) -> np.ndarray:
    """Returns the RGB float32 [N, 3] of points on the body."""
    rest = body.rest.astype(np.float32)
    blotches = sum(s * np.sin(rest @ np.array([x, y, z], np.float32) + p) for x, y, z, p, s in complexion.waves)
    red = 0.35 * blotches + 0.8 * np.clip(body.arm - 2, 0, 1) + 0.8 * np.clip(body.leg - 2.2, 0, 0.8)
    red = red + 0.5 * np.exp(-((body.skull - 0.22) ** 2) / 0.01) * (body.face > 0.3)
    result = complexion.skin.astype(np.float32) + red[:, None] * complexion.flush.astype(np.float32)

    on_face = body.face > 0.35
    mouth = ((body.across / 0.013) ** 2 + ((body.skull - 0.14) / 0.045) ** 2 < 1) & on_face
    result[mouth] = complexion.lips
    brows = (np.abs(body.skull - 0.5) < 0.018) & (np.abs(np.abs(body.across) - 0.02) < 0.011) & on_face
    result[brows] = 0.5 * result[brows] + 0.5 * complexion.hair
    if complexion.hairline < 1:
        strands = 0.85 + 0.15 * np.sin(rest @ np.array([900, 500, 700], np.float32))
        line = complexion.hairline + 0.05 * np.clip(body.face, 0, 1) + 0.03 * blotches
        amount = np.clip((body.skull - line) * 12, 0, 1)[:, None]
        result = (1 - amount) * result + amount * strands[:, None] * complexion.hair.astype(np.float32)
    eye = body.looking < 5
    if complexion.eyes > 0:
        result[eye] = np.where(body.looking[eye, None] < 0.62, complexion.iris, [232, 228, 224])
        result[body.looking < 0.28] = 18
    else:
        result[eye] = 0.93 * complexion.skin
    for x, y, z, radius, grey, redness in complexion.plasters:
        close = np.linalg.norm(rest - np.array([x, y, z], np.float32), axis=1) < radius
        result[close] = [grey, grey - 0.5 * redness, grey - redness]
    return result
