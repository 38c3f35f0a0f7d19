"""Where things are in the frame: an infant under a camera, what lies over it, its keypoints. Nothing is drawn here."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic import body as bodies
from aggpose_jax.data.synthetic.ranges import Ranges

HEIGHT, WIDTH = 240, 320
OCCLUDERS = ("none", "blanket", "arm", "toy")
OCCLUDER_SHARES = (0.77, 0.07, 0.08, 0.08)


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera above the infant.

    Attributes:
      roll: radians; positive turns the infant clockwise on screen.
      scale: pixels a stature at the height of the spine.
      centre: [2] where the origin of the body lies, pixels.
      tilt: [2] how much nearer a point gets, statures a stature of x and y.
      distance: of the camera, statures.
    """

    roll: float
    scale: float
    centre: np.ndarray
    tilt: np.ndarray
    distance: float

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[..., 3] statures → [..., 3] pixels (x, y, height over the sheet), [...] pixels a stature there."""
        near = points[..., 2] + points[..., :2] @ self.tilt
        scale = self.scale / (1 - near / self.distance)
        c, s = np.cos(self.roll), np.sin(self.roll)
        flat = points[..., :2] @ np.array([[c, s], [-s, c]])
        place = self.centre + flat * scale[..., None]
        return np.concatenate([place, (points[..., 2] * scale)[..., None]], axis=-1), scale


@dataclasses.dataclass(frozen=True)
class Occluder:
    """Something over the infant.

    Attributes:
      kind: one of `OCCLUDERS`.
      shapes: [N, 6] tapered capsules: x, y, radius at one end, x, y, radius at the other; pixels.
      edge: [3] a blanket covers the pixels with edge · (x, y, 1) > 0.
    """

    kind: str
    shapes: np.ndarray
    edge: np.ndarray

    def covers(self, points: np.ndarray) -> np.ndarray:
        """[K] bool: which of the [K, 2] pixels are hidden."""
        under = points @ self.edge[:2] + self.edge[2] > 0
        for x, y, radius, x2, y2, radius2 in self.shapes:
            along = np.array([x2 - x, y2 - y])
            part = np.clip((points - (x, y)) @ along / max(along @ along, 1e-6), 0, 1)
            nearest = (x, y) + part[:, None] * along
            under |= np.linalg.norm(points - nearest, axis=1) < radius + part * (radius2 - radius)
        return under


@dataclasses.dataclass(frozen=True)
class Scene:
    """An infant, the camera and what lies over the infant."""

    body: bodies.Body
    camera: Camera
    occluder: Occluder

    def keypoints(self, time: float = 0.0) -> np.ndarray:
        """[21, 3] x, y in pixels and visibility: 2 seen, 1 under the occluder, 0 outside the frame (then x = y = 0)."""
        points, _ = self.camera.project(bodies.keypoints(bodies.joints(self.body, time)))
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (x <= WIDTH - 1) & (y >= 0) & (y <= HEIGHT - 1)
        visibility = np.where(self.occluder.covers(points[:, :2]), 1, 2) * inside
        return np.stack([x * inside, y * inside, visibility], axis=1).astype(np.float32)


def draw_scene(rng: np.random.Generator, ranges: Ranges) -> Scene:
    """A random scene of a split."""
    body = bodies.draw_body(rng, ranges)
    outline = _outline(body)
    camera = _draw_camera(rng, outline)
    points, _ = camera.project(outline)
    return Scene(body, camera, _draw_occluder(rng, points[:-1, :2], camera))


def _outline(body: bodies.Body) -> np.ndarray:
    """[22, 3] the keypoints and the crown at time 0: what the frame is filled with."""
    points = bodies.joints(body, 0.0)
    crown = points["head"] - points["head_frame"][:, 1]
    return np.concatenate([bodies.keypoints(points), crown[None]])


def _draw_camera(rng: np.random.Generator, outline: np.ndarray) -> Camera:
    """Roll within ±45°; the infant fills .5 to .9 of the frame's height and is rarely cut by its edge."""
    roll = rng.uniform(-np.pi / 4, np.pi / 4)
    tilt, distance = rng.uniform(-0.2, 0.2, 2), rng.uniform(3.5, 7)
    unit, _ = Camera(roll, 1.0, np.zeros(2), tilt, distance).project(outline)
    low, high = unit[:, :2].min(axis=0), unit[:, :2].max(axis=0)
    scale = min(rng.uniform(0.5, 0.9) * HEIGHT / (high - low)[1], 0.92 * WIDTH / (high - low)[0])
    frame = np.array([WIDTH, HEIGHT])
    free = (frame - scale * (high - low)) / 2
    reach = free + (0.05 * HEIGHT if rng.random() < 0.12 else -4.0)
    centre = frame / 2 - scale * (low + high) / 2 + rng.uniform(-1, 1, 2) * np.maximum(reach, 0)
    return Camera(roll, scale, centre, tilt, distance)


def _draw_occluder(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> Occluder:
    kind = str(rng.choice(OCCLUDERS, p=OCCLUDER_SHARES))
    shapes, edge = np.zeros((0, 6)), np.zeros(3)
    if kind == "blanket":
        edge = _blanket(rng, points, camera)
    elif kind == "arm":
        shapes = _caregiver(rng, points, camera)
    elif kind == "toy":
        place = points[rng.integers(len(points))] + rng.normal(0, 0.05, 2) * camera.scale
        end = place + rng.normal(0, 0.05, 2) * camera.scale
        radius = rng.uniform(0.03, 0.055, 2) * camera.scale
        shapes = np.array([[*place, radius[0], *end, radius[1]]])
    return Occluder(kind, shapes, edge)


def _blanket(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> np.ndarray:
    """An edge across the legs that hides the three to five lowest points."""
    angle = camera.roll + rng.uniform(-0.25, 0.25)
    down = np.array([-np.sin(angle), np.cos(angle)])
    depth = np.sort(points @ down)
    hidden = rng.integers(3, 6)
    return np.array([*down, -(depth[-hidden] + depth[-hidden - 1]) / 2])


def _caregiver(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> np.ndarray:
    """A forearm from outside the frame to a limb, and its hand."""
    target = points[rng.choice([2, 3, 6, 7, 8, 11, 12, 15, 16, 17])]
    away = target - camera.centre
    angle = np.arctan2(away[1], away[0]) + rng.uniform(-0.5, 0.5)
    along = np.array([np.cos(angle), np.sin(angle)])
    size = camera.scale
    wrist, far = target + 0.11 * size * along, target + (0.11 * size + 400) * along
    tip = target + rng.uniform(-0.01, 0.02) * size * along
    across = np.array([-along[1], along[0]])
    fingers = [[*(wrist + k * 0.018 * size * across), 0.022 * size, *(tip + k * 0.026 * size * across), 0.015 * size]
               for k in (-1, 0, 1)]  # fmt: skip
    return np.array([[*wrist, 0.042 * size, *far, 0.16 * size], *fingers])
