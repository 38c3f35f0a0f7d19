"""Scenes of synthetic infants: all that determines an image but the moment, sampled from the style of a split."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic import clutter, textures
from aggpose_jax.data.synthetic.body_map import body_map
from aggpose_jax.data.synthetic.camera import Camera, sample_camera
from aggpose_jax.data.synthetic.clothes import OUTFITS, WITH_SKIRT, Fabric, Garment, sample_cut, sample_folds
from aggpose_jax.data.synthetic.complexion import Complexion, sample_complexion, tone
from aggpose_jax.data.synthetic.lighting import Light
from aggpose_jax.data.synthetic.mesh import load_mesh
from aggpose_jax.data.synthetic.objects import Solid
from aggpose_jax.data.synthetic.posture import Movement, pose, sample_movement, sample_shape
from aggpose_jax.data.synthetic.ranges import sample_uniform
from aggpose_jax.data.synthetic.styles import Style
from aggpose_jax.data.synthetic.surroundings import Surroundings, sample_wrinkles


@dataclasses.dataclass(frozen=True)
class Variety:
    """Which sources of variety a generator uses; without all of them it shows naked infants from above on a bed."""

    cameras: bool = True
    garments: bool = True
    clutter: bool = True
    degradation: bool = True
    empty: bool = True


# Names of increasing variety: each level has what the ones before it have.
LEVELS = {
    name: Variety(*(i <= level for i in range(1, 6)))
    for level, name in enumerate(("bare", "cameras", "garments", "clutter", "degradation", "empty"))
}


@dataclasses.dataclass(frozen=True)
class Scene:
    """One infant, or none, with its clothes, surroundings, light and camera.

    Attributes:
      movement: None in a scene without an infant.
      garments: clothes from the skin outwards.
      objects: things that do not move.
      covers: cloths that follow the infant, (function of `clutter`, fabric), drawn anew at each moment.
      seed: of the folds of the covers.
    """

    movement: Movement | None
    complexion: Complexion
    garments: tuple[Garment, ...]
    surroundings: Surroundings
    objects: tuple[Solid, ...]
    covers: tuple[tuple[str, Fabric], ...]
    light: Light
    camera: Camera
    seed: int


def sample_fabric(
    rng: np.random.Generator, patterns: tuple[str, ...], style: Style, period: tuple[float, float]
) -> Fabric:
    """Returns a random fabric, half of the time a pale one."""
    pale = rng.random() < 0.5
    first = textures.colour(
        sample_uniform(rng, style.hues), rng.uniform(0, 0.15 if pale else 0.7), rng.uniform(0.35, 1.0)
    )
    second = textures.colour(sample_uniform(rng, style.hues), rng.uniform(0.05, 0.8), rng.uniform(0.2, 1.0))
    if rng.random() < 0.12:
        first = first * rng.uniform(0.15, 0.5)
    strength = rng.choice([1.0, rng.uniform(0.1, 0.6)])
    tile = textures.tile(str(rng.choice(patterns)), first, first + strength * (second - first), rng)
    return Fabric(tile, float(np.exp(rng.uniform(*np.log(period)))), float(rng.uniform(0, 2 * np.pi)))


def sample_scene(rng: np.random.Generator, style: Style, variety: Variety, moving: bool) -> Scene:
    """Returns a random scene in the style of a split."""
    empty = variety.empty and rng.random() < 0.2
    shape = sample_shape(rng)
    movement = sample_movement(rng, shape, moving)
    body = pose(movement, 0.0)
    points = body.vertices[::25]
    framing = style.framing
    if not variety.cameras:
        framing = dataclasses.replace(framing, tilts=((0, 8),), distance=(1.5, 3.0), size=(0.55, 0.9), cut=0.1)
    camera = sample_camera(rng, framing, points)
    garments, covers = _sample_clothes(rng, style) if variety.garments else ((), [])
    surroundings = _sample_surroundings(rng, style, body.vertices)
    objects: list[Solid] = []
    if variety.clutter:
        objects, more = _sample_clutter(rng, style, body, surroundings)
        covers = covers + more
    complexion = sample_complexion(rng, body_map(), variety.clutter and rng.random() < 0.25)
    return Scene(
        movement=None if empty else movement,
        complexion=complexion,
        garments=garments,
        surroundings=surroundings,
        objects=tuple(objects),
        covers=() if empty else tuple(covers),
        light=_sample_light(rng),
        camera=camera,
        seed=int(rng.integers(1 << 31)),
    )


def _sample_clothes(rng: np.random.Generator, style: Style) -> tuple[tuple[Garment, ...], list]:
    outfit = str(rng.choice(style.outfits))
    names = list(OUTFITS[outfit])
    chances = {"socks": 0.25, "mittens": 0.12, "hat": 0.22, "hood": 0.15, "bib": 0.1}
    names += [name for name in style.extras if rng.random() < chances[name]]
    main = sample_fabric(rng, style.fabrics, style, (0.012, 0.09))
    garments = []
    for name in names:
        fabric = main if rng.random() < 0.5 else sample_fabric(rng, style.fabrics, style, (0.012, 0.09))
        if name == "nappy":
            white = textures.tile("plain", 255 * rng.uniform(0.8, 0.98, 3), np.zeros(3), rng)
            fabric = Fabric(white, 0.05, 0.0)
        hem = rng.uniform(20, 250, 3) if rng.random() < 0.35 else None
        garments.append(Garment(name, sample_cut(rng, name), fabric, hem, sample_folds(rng)))
    return tuple(garments), [("skirt", garments[0].fabric)] if outfit in WITH_SKIRT else []


def _sample_surroundings(rng: np.random.Generator, style: Style, vertices: np.ndarray) -> Surroundings:
    reach = np.abs(vertices[:, :2] - vertices[:, :2].mean(axis=0)).max(axis=0)
    size = reach + rng.uniform(0.03, 0.7, 2)
    middle = vertices[:, :2].mean(axis=0) + rng.uniform(-0.5, 0.5, 2) * (size - reach)
    edge = rng.uniform(20, 250, 3) if rng.random() < 0.5 else 255 * rng.uniform(0.75, 1) * np.ones(3)
    return Surroundings(
        sheet=sample_fabric(rng, style.sheets, style, (0.03, 0.35)),
        floor=sample_fabric(rng, style.sheets, style, (0.05, 0.6)),
        bed=np.array([*middle, *size, rng.normal(0, 0.08)]),
        edge=np.array([*edge, rng.choice([0.0, rng.uniform(0.005, 0.05)])]),
        floor_depth=float(rng.choice([0.01, rng.uniform(0.1, 0.9)])),
        wall=rng.uniform(20, 235, (2, 3)) * 0.3 + rng.uniform(20, 235, (2, 1)) * 0.7,
        wrinkles=sample_wrinkles(rng, rng.uniform(0.0003, 0.012)),
    )


def _sample_light(rng: np.random.Generator) -> Light:
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.45)
    direction = np.array([np.cos(angle) * np.cos(height), np.sin(angle) * np.cos(height), np.sin(height)])
    lamp = rng.uniform(0.1, 0.75)
    warmth = rng.normal(0, 0.07, 3)
    return Light(
        direction=direction,
        colour=lamp * (1 + warmth),
        ambient=(1.0 - 0.75 * lamp) * (1 - 0.5 * warmth),
        softness=float(np.exp(rng.uniform(np.log(0.005), np.log(0.06)))),
    )


def _sample_clutter(
    rng: np.random.Generator, style: Style, body, surroundings: Surroundings
) -> tuple[list[Solid], list]:
    """Returns up to four kinds of things around the infant, and the cloths over it."""
    mesh = load_mesh()
    middle = body.vertices[:, :2].mean(axis=0)
    reach = np.linalg.norm(body.vertices[:, :2] - middle, axis=1).max()
    objects: list[Solid] = []
    covers: list = []

    def beside() -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        return middle + rng.uniform(0.6, 1.3) * reach * np.array([np.cos(angle), np.sin(angle)])

    for kind in rng.permutation(style.clutter)[: rng.choice(4, p=(0.25, 0.35, 0.25, 0.15))]:
        if kind == "toy":
            for _ in range(rng.integers(1, 4)):
                objects += clutter.toy(rng, beside())
        elif kind == "hand":
            for _ in range(rng.integers(1, 3)):
                target = body.points[rng.integers(21)] + rng.normal(0, 0.03, 3) + [0, 0, 0.02]
                away = np.arctan2(*(target[:2] - middle)[::-1]) + rng.normal(0, 0.6)
                skin, sleeve = tone(rng.random()), rng.uniform(20, 250, 3)
                objects.append(clutter.adult_hand(rng, target, away, skin, sleeve))
        elif kind == "pillow":
            objects.append(clutter.pillow(rng, beside(), sample_fabric(rng, style.sheets, style, (0.03, 0.3))))
        elif kind == "nest":
            objects.append(clutter.nest(rng, middle, reach, rng.uniform(60, 250, 3)))
        elif kind == "cable":
            for _ in range(rng.integers(1, 5)):
                start = body.points[
                    rng.choice([mesh.points.index(n) for n in ("chest", "navel", "left_toe", "left_wrist")])
                ]
                objects.append(clutter.cable(rng, start, rng.uniform(0, 6.3)))
        elif kind == "rails":
            objects += clutter.rails(rng, surroundings.bed)
        else:
            covers.append(("blanket", sample_fabric(rng, style.sheets, style, (0.03, 0.3))))
    return objects, covers
