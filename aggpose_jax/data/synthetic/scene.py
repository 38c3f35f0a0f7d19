"""The geometry of a scene: an infant, the camera, an occluder and the resulting keypoints. No image is rendered."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic import body as bodies
from aggpose_jax.data.synthetic.ranges import Ranges

HEIGHT, WIDTH = 240, 320
OCCLUDERS = ("none", "blanket", "arm", "toy")
OCCLUDER_PROBABILITIES = (0.77, 0.07, 0.08, 0.08)


@dataclasses.dataclass(frozen=True)
class Camera:
    """A perspective camera above the infant.

    Attributes:
      roll: radians; a positive roll turns the infant clockwise on screen.
      scale: pixels per stature at the height of the spine.
      centre: [2] position of the origin of the body, in pixels.
      tilt: [2] by how many statures a point is nearer to the camera per stature of x and y.
      distance: distance of the camera from the origin of the body, in statures.
    """

    roll: float
    scale: float
    centre: np.ndarray
    tilt: np.ndarray
    distance: float

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Projects points [..., 3] in statures.

        Returns:
          Pixels [..., 3] (x, y, height above the spine), and the pixels per stature [...] at each point.
        """
        near = points[..., 2] + points[..., :2] @ self.tilt
        scale = self.scale / (1 - near / self.distance)
        c, s = np.cos(self.roll), np.sin(self.roll)
        rotated = points[..., :2] @ np.array([[c, s], [-s, c]])
        position = self.centre + rotated * scale[..., None]
        return np.concatenate([position, (points[..., 2] * scale)[..., None]], axis=-1), scale


@dataclasses.dataclass(frozen=True)
class Occluder:
    """An object that covers a part of the infant.

    Attributes:
      kind: one of `OCCLUDERS`.
      shapes: [N, 6] tapered capsules: x, y, radius at one end, then x, y, radius at the other end, in pixels.
      edge: [3] coefficients of a line: a blanket covers the pixels with edge · (x, y, 1) > 0. Zeros without a blanket.
    """

    kind: str
    shapes: np.ndarray
    edge: np.ndarray

    def covers(self, points: np.ndarray) -> np.ndarray:
        """Returns [K] bool: whether each of the points [K, 2], in pixels, is covered."""
        covered = points @ self.edge[:2] + self.edge[2] > 0
        for x, y, radius, x2, y2, radius2 in self.shapes:
            along = np.array([x2 - x, y2 - y])
            fraction = np.clip((points - (x, y)) @ along / max(along @ along, 1e-6), 0, 1)
            nearest = (x, y) + fraction[:, None] * along
            covered |= np.linalg.norm(points - nearest, axis=1) < radius + fraction * (radius2 - radius)
        return covered


@dataclasses.dataclass(frozen=True)
class Scene:
    """The geometry of an image: an infant, the camera, and the object that covers a part of the infant, if any."""

    body: bodies.Body
    camera: Camera
    occluder: Occluder

    def keypoints(self, time: float = 0.0) -> np.ndarray:
        """Returns the keypoints at a time in seconds.

        Returns:
          float32 [21, 3] x, y in pixels and visibility: 2 visible, 1 occluded, 0 outside the frame (then x = y = 0).
        """
        points, _ = self.camera.project(bodies.keypoints(bodies.joints(self.body, time)))
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (x <= WIDTH - 1) & (y >= 0) & (y <= HEIGHT - 1)
        visibility = np.where(self.occluder.covers(points[:, :2]), 1, 2) * inside
        return np.stack([x * inside, y * inside, visibility], axis=1).astype(np.float32)


def sample_scene(rng: np.random.Generator, ranges: Ranges) -> Scene:
    """Returns a random scene (infant, camera, occluder) within the ranges of a split."""
    body = bodies.sample_body(rng, ranges)
    outline = _outline(body)
    camera = _sample_camera(rng, outline)
    points, _ = camera.project(outline)
    return Scene(body, camera, _sample_occluder(rng, points[:-1, :2], camera))


def _outline(body: bodies.Body) -> np.ndarray:
    """Returns the points [22, 3] by which an infant at time 0 is fitted into the frame: its keypoints and its crown."""
    points = bodies.joints(body, 0.0)
    crown = points["head"] - points["head_frame"][:, 1]
    return np.concatenate([bodies.keypoints(points), crown[None]])


def _sample_camera(rng: np.random.Generator, outline: np.ndarray) -> Camera:
    """Returns a random camera with a roll within ±45°.

    The infant fills 0.5 to 0.9 of the height of the frame and is rarely cut off by its edge.
    """
    roll = rng.uniform(-np.pi / 4, np.pi / 4)
    tilt, distance = rng.uniform(-0.2, 0.2, 2), rng.uniform(3.5, 7)
    at_unit_scale, _ = Camera(roll, 1.0, np.zeros(2), tilt, distance).project(outline)
    low, high = at_unit_scale[:, :2].min(axis=0), at_unit_scale[:, :2].max(axis=0)
    scale = min(rng.uniform(0.5, 0.9) * HEIGHT / (high - low)[1], 0.92 * WIDTH / (high - low)[0])
    frame = np.array([WIDTH, HEIGHT])
    margin = (frame - scale * (high - low)) / 2
    max_shift = margin + (0.05 * HEIGHT if rng.random() < 0.12 else -4.0)
    centre = frame / 2 - scale * (low + high) / 2 + rng.uniform(-1, 1, 2) * np.maximum(max_shift, 0)
    return Camera(roll, scale, centre, tilt, distance)


def _sample_occluder(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> Occluder:
    kind = str(rng.choice(OCCLUDERS, p=OCCLUDER_PROBABILITIES))
    shapes, edge = np.zeros((0, 6)), np.zeros(3)
    if kind == "blanket":
        edge = _sample_blanket(rng, points, camera)
    elif kind == "arm":
        shapes = _sample_caregiver_arm(rng, points, camera)
    elif kind == "toy":
        start = points[rng.integers(len(points))] + rng.normal(0, 0.05, 2) * camera.scale
        end = start + rng.normal(0, 0.05, 2) * camera.scale
        radius = rng.uniform(0.03, 0.055, 2) * camera.scale
        shapes = np.array([[*start, radius[0], *end, radius[1]]])
    return Occluder(kind, shapes, edge)


def _sample_blanket(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns the edge [3] (see `Occluder`) of a blanket across the legs that hides the three to five lowest points."""
    angle = camera.roll + rng.uniform(-0.25, 0.25)
    down = np.array([-np.sin(angle), np.cos(angle)])
    depth = np.sort(points @ down)
    hidden = rng.integers(3, 6)
    return np.array([*down, -(depth[-hidden] + depth[-hidden - 1]) / 2])


def _sample_caregiver_arm(rng: np.random.Generator, points: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns the capsules [4, 6] of a caregiver's forearm, from outside the frame to a limb, and of three fingers."""
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
