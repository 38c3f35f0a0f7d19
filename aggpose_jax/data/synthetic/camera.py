"""A pinhole camera that looks at a bed, from above, obliquely or from the side.

World axes: x to the left and y to the head of an infant on its back, z away from the bed, in metres. Image axes: x to
the right, y down, in pixels, with pixel centres at integers.
"""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic.skeleton import rotation

WIDTH, HEIGHT = 320, 240


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera.

    Attributes:
      position: [3] its place.
      axes: [3, 3] rows: directions to the right, down and forwards in the image.
      focal: focal length in pixels.
      centre: [2] pixel on the optical axis, which may lie outside the image.
    """

    position: np.ndarray
    axes: np.ndarray
    focal: float
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Returns x, y in pixels and the depth in metres, [..., 3], of points [..., 3]."""
        seen = (points - self.position) @ self.axes.T
        depth = np.maximum(seen[..., 2:], 1e-3)
        return np.concatenate([self.centre + self.focal * seen[..., :2] / depth, seen[..., 2:]], axis=-1)


@dataclasses.dataclass(frozen=True)
class Framing:
    """Where a camera may stand and how large an infant is in its frame.

    Attributes:
      tilts: intervals in degrees of the angle between the optical axis and the vertical; one is chosen at random.
      distance: interval in metres.
      size: interval of the longer side of the infant's bounding box, relative to that of the frame.
      cut: probability that the frame may cut the infant.
    """

    tilts: tuple[tuple[float, float], ...]
    distance: tuple[float, float] = (0.7, 3.0)
    size: tuple[float, float] = (0.4, 0.95)
    cut: float = 0.25


def sample_camera(rng: np.random.Generator, framing: Framing, points: np.ndarray) -> Camera:
    """Returns a random camera that sees the points [N, 3] of an infant, at any roll."""
    tilt = np.radians(rng.uniform(*framing.tilts[rng.integers(len(framing.tilts))]))
    azimuth, roll = rng.uniform(0, 2 * np.pi), rng.uniform(-np.pi, np.pi)
    if tilt > 0.5:  # A camera beside the bed is held upright, or nearly so; a film may be stored on its side.
        roll = rng.normal(0, 0.15) + (rng.choice((0.5, -0.5, 1)) * np.pi if rng.random() < 0.25 else 0.0)
    away = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    sideways = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    turn = rotation(away, roll)
    right = turn @ sideways
    axes = np.stack([right, np.cross(-away, right), -away])
    target = points.mean(axis=0)
    position = target + np.exp(rng.uniform(*np.log(framing.distance))) * away
    unit = Camera(position, axes, 1.0, np.zeros(2)).project(points)[:, :2]
    low, high = unit.min(axis=0), unit.max(axis=0)
    frame = np.array([WIDTH, HEIGHT], float)
    relative = ((high - low) / frame).max()
    focal = rng.uniform(*framing.size) / relative
    margin = (frame - focal * (high - low)) / 2
    if rng.random() < framing.cut:
        margin = margin + 0.12 * frame
    shift = rng.uniform(-1, 1, 2) * np.maximum(margin, 0)
    return Camera(position, axes, float(focal), frame / 2 - focal * (low + high) / 2 + shift)
