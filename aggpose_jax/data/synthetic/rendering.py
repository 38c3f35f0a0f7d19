"""Draws a scene at one moment: an RGB image, and the keypoints with their visibility."""

import dataclasses
import functools

import cv2
import numpy as np

from aggpose_jax.data.synthetic import clutter, complexion
from aggpose_jax.data.synthetic.body_map import BodyMap, body_map
from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH
from aggpose_jax.data.synthetic.lighting import HeightMap, Light, contact, height_map, shadow
from aggpose_jax.data.synthetic.mesh import load_mesh, normals
from aggpose_jax.data.synthetic.objects import Solid
from aggpose_jax.data.synthetic.posture import pose
from aggpose_jax.data.synthetic.rasterizer import Fragments, rasterize
from aggpose_jax.data.synthetic.staging import Scene
from aggpose_jax.data.synthetic.surroundings import Background, draw_background
from aggpose_jax.pose.keypoints import INFANT_21

# How far below the skin each keypoint lies, in metres, at the size of a one-year-old: half the thickness of its limb.
DEPTHS = {"shoulder": 0.045, "elbow": 0.03, "wrist": 0.025, "hip": 0.06, "knee": 0.04, "ankle": 0.03}
SURFACE = 0.02  # for keypoints on the skin


@dataclasses.dataclass(frozen=True)
class View:
    """What a camera sees of an infant.

    Attributes:
      image: RGB float32 [H, W, 3] of 0..255, linear and without the faults of a camera.
      keypoints: float32 [21, 3] x, y in pixels and visibility: 2 seen, 1 hidden, 0 outside the frame; None in a scene
        without an infant.
      absent: [21] bool: whether a keypoint is hidden by something other than the infant, or outside the frame.
      head: [3] x, y and radius in pixels of a circle around the head; None in a scene without an infant.
    """

    image: np.ndarray
    keypoints: np.ndarray | None
    absent: np.ndarray
    head: np.ndarray | None


def draw(scene: Scene, time: float) -> View:
    """Returns the view of a scene at a time in seconds."""
    body = pose(scene.movement, time) if scene.movement is not None else None
    solids = [*_infant(scene, body), *scene.objects]
    background = draw_background(scene.surroundings, scene.camera)
    image = background.colours
    if not solids:
        image *= _light_of_background(scene.light, None, background)
        return View(image.reshape(HEIGHT, WIDTH, 3), None, np.ones(len(INFANT_21), bool), None)
    offsets = np.cumsum([0, *(len(solid.vertices) for solid in solids)])
    owner = np.repeat(np.arange(len(solids)), [len(solid.triangles) for solid in solids])
    is_body = (owner == 0) & (body is not None)
    vertices = np.concatenate([solid.vertices for solid in solids])
    triangles = np.concatenate([s.triangles + o for s, o in zip(solids, offsets, strict=False)])
    maps = [height_map(vertices, triangles, ~is_body, d) for d in (scene.light.direction, np.array([0, 0, 1.0]))]
    image *= _light_of_background(scene.light, maps, background)

    fragments = rasterize(scene.camera.project(vertices), triangles, (WIDTH, HEIGHT), ~is_body)
    attributes = [vertices, np.concatenate([s.normals for s in solids]), np.concatenate([s.colours for s in solids])]
    positions, around, colours = np.split(
        fragments.interpolate(np.hstack(attributes).astype(np.float32), triangles), 3, 1
    )
    if body is not None:
        _paint_body(scene, fragments, is_body, triangles, colours)
    image[fragments.pixel] = colours * _shade(scene.light, maps, positions, around)
    keypoints, absent, head = None, np.ones(len(INFANT_21), bool), None
    if body is not None:
        head = _head(scene, body.vertices)
        is_object = np.array([solid.kind == "object" for solid in solids])[owner[fragments.triangle]]
        keypoints, absent = _keypoints(scene, body.points, fragments, is_object)
    return View(image.reshape(HEIGHT, WIDTH, 3), keypoints, absent, head)


def _light_of_background(light: Light, maps: list[HeightMap] | None, background: Background) -> np.ndarray:
    """Returns the RGB factor [N, 3] of the light at all pixels of the background, interpolated from half the size."""
    factors = _shade(light, maps, background.positions, background.normals).reshape(HEIGHT // 2, WIDTH // 2, 3)
    return cv2.resize(factors, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).reshape(-1, 3)


def _infant(scene: Scene, body) -> list[Solid]:
    """Returns the dressed body and the cloths over it; nothing in a scene without an infant."""
    if body is None:
        return []
    mesh, places = load_mesh(), body_map()
    around = normals(body.vertices)
    relief = np.zeros(len(around), np.float32)
    for garment in scene.garments:
        inside = np.clip(8 * garment.cover(places) + 0.2, 0, 1)
        relief = np.maximum(relief, inside * garment.relief(places)) + 0.001 * inside
    vertices = body.vertices + relief[:, None] * around
    vertices[:, 2] = np.maximum(vertices[:, 2], np.minimum(body.vertices[:, 2], 0.001))
    dressed = normals(vertices)
    solids = [Solid(vertices, dressed, mesh.triangles, np.zeros_like(vertices), "infant")]
    for kind, fabric in scene.covers:
        rng = np.random.default_rng(scene.seed)
        if kind == "skirt":
            solids.append(clutter.skirt(rng, vertices, mesh.triangles, body.points, fabric))
        else:
            solids.append(clutter.blanket(rng, vertices, mesh.triangles, fabric))
    return solids


def _paint_body(scene: Scene, fragments: Fragments, is_body: np.ndarray, triangles: np.ndarray, colours: np.ndarray):
    """Writes the colours of skin, hair and clothes into the rows of `colours` [N, 3] that show the infant."""
    on_body = np.flatnonzero(is_body[fragments.triangle])
    if not len(on_body):
        return
    part = Fragments(*(getattr(fragments, f.name)[on_body] for f in dataclasses.fields(Fragments)))
    places = BodyMap.unstack(part.interpolate(body_map().stack(), triangles))
    painted = complexion.colours(scene.complexion, places)
    pixel = float(np.median(part.depth)) / scene.camera.focal
    for garment in scene.garments:
        cover = garment.cover(places)
        inside = cover > 0
        painted[inside] = garment.fabric.colours(places.cloth[inside], pixel)
        if garment.hem is not None:
            painted[inside & (cover < 0.07)] = garment.hem
    colours[on_body] = painted


def _shade(light: Light, maps: list[HeightMap] | None, positions: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Returns the RGB factor float32 [N, 3] of the light at positions [N, 3] of surfaces with normals [N, 3].

    `maps` are the heights of things seen from the lamp and from above, None without things.
    """
    facing = np.clip(around @ light.direction.astype(np.float32), 0, 1)
    sky = 0.72 + 0.28 * around[:, 2]
    if maps is not None:
        facing = facing * shadow(maps[0], positions, light.softness)
        sky = sky * contact(maps[1], positions)
    return sky[:, None] * light.ambient.astype(np.float32) + facing[:, None] * light.colour.astype(np.float32)


def _head(scene: Scene, vertices: np.ndarray) -> np.ndarray:
    """Returns x, y and radius [3] in pixels of a circle around the head."""
    mesh = load_mesh()
    skull = mesh.weights[: len(vertices), mesh.bone("head")] > 0.9
    places = scene.camera.project(vertices[skull])[:, :2]
    low, high = places.min(axis=0), places.max(axis=0)
    return np.array([*(low + high) / 2, (high - low).max() / 2])


def _keypoints(
    scene: Scene, points: np.ndarray, fragments: Fragments, is_object: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the keypoints [21, 3] and which are absent [21] (see `View`), from the surfaces in front of them."""
    x, y, depth = scene.camera.project(points[: len(INFANT_21)]).T
    inside = (x >= 0) & (x <= WIDTH - 1) & (y >= 0) & (y <= HEIGHT - 1) & (depth > 0)
    nearest = np.full(WIDTH * HEIGHT, np.inf)
    nearest[fragments.pixel] = fragments.depth
    other = np.zeros(WIDTH * HEIGHT, bool)
    other[fragments.pixel] = is_object
    pixel = np.where(inside, np.round(y) * WIDTH + np.round(x), 0).astype(int)
    # Skin and clothes lie in front of a joint that can be seen; any other thing there hides it, even if it touches.
    hidden = nearest[pixel] < depth - np.where(other[pixel], 0.0, _tolerances())
    visibility = np.where(hidden, 1, 2) * inside
    keypoints = np.stack([x * inside, y * inside, visibility], axis=1).astype(np.float32)
    return keypoints, ~inside | (hidden & other[pixel])


@functools.cache
def _tolerances() -> np.ndarray:
    """Returns [21] how far in front of each keypoint its own skin and clothes may lie, in metres."""
    parts = (name.removeprefix("left_").removeprefix("right_") for name in INFANT_21.names)
    return np.array([DEPTHS.get(part, SURFACE) + 0.01 for part in parts])
