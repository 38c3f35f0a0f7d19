"""The infant's body: proportions, joint angles over time, and the positions of the joints computed from them.

Lengths are in statures (the length from crown to heel with straight legs). The axes are those of an image, taken from
above, of a supine infant with its head at the top: x towards the infant's left, y towards the feet, z towards the
camera; the origin is the point of the spine behind the navel. Angles are in radians. Pairs of points are [right, left].
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from aggpose_jax.data.synthetic.ranges import Ranges, sample_uniform

TRUNK = ("bend", "twist", "hip_twist", "tilt", "yaw", "pitch")
ARM = ("abduct", "raise", "elbow", "fore_raise", "wrist")
LEG = ("spread", "lift", "knee", "shank_lift", "ankle", "foot_lift")
ANGLES = len(TRUNK) + 2 * len(ARM) + 2 * len(LEG)

# For each posture: its probability, and the interval in degrees of each angle of the limb, in the order of ARM or LEG.
ARM_POSTURES = {
    "up": (0.24, ((105, 160), (0, 25), (0, 45), (0, 30), (-25, 25))),
    "cactus": (0.24, ((55, 110), (0, 25), (45, 115), (0, 40), (-30, 30))),
    "straight": (0.22, ((15, 125), (0, 20), (-10, 35), (0, 25), (-30, 30))),
    "chest": (0.16, ((10, 55), (12, 30), (-135, -75), (8, 25), (-30, 30))),
    "reach": (0.14, ((20, 140), (25, 60), (-40, 70), (5, 55), (-30, 30))),
}
LEG_POSTURES = {
    "frog": (0.30, ((45, 95), (5, 30), (65, 140), (-20, 10), (0, 45), (0, 40))),
    "straight": (0.25, ((0, 32), (0, 12), (-5, 28), (-8, 8), (0, 45), (10, 55))),
    "bent": (0.25, ((10, 50), (20, 50), (15, 80), (-45, -5), (0, 45), (0, 40))),
    "kick": (0.20, ((-5, 60), (25, 60), (-25, 50), (-15, 35), (-10, 40), (10, 55))),
}
TRUNK_DEGREES = ((-18, 18), (-22, 22), (-22, 22), (-25, 25), (-48, 48), (-12, 14))

UPPER_ARM, FOREARM, HAND = 0.15, 0.135, 0.088
THIGH, SHANK, FOOT = 0.175, 0.165, 0.105
SHOULDER, HIP = 0.112, 0.068
CHEST_UP, SHOULDER_UP, PELVIS_DOWN = 0.165, 0.185, 0.12
HEAD_HEIGHT, HEAD_WIDTH = 0.122, 0.086
EYE_POSITION, CHIN_POSITION = (0.44, 0.16), (0.0, 1.08)  # longitude and latitude in radians, see `on_head`


@dataclasses.dataclass(frozen=True)
class Body:
    """The proportions of one infant and the parameters of its movement.

    Attributes:
      arm, leg: lengths of arms and legs, relative to the standard infant.
      head, girth: size of the head and thickness of the limbs, relative to the standard infant.
      base: [A] mean of the A joint angles.
      amplitude, frequency, phase: [3, A] of the three sinusoids that are added to each mean; frequency in hertz.
    """

    arm: float
    leg: float
    head: float
    girth: float
    base: np.ndarray
    amplitude: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray

    def angles(self, time: float) -> np.ndarray:
        """Returns the [A] joint angles at a time in seconds: trunk, right arm, left arm, right leg, left leg."""
        waves = self.amplitude * np.sin(2 * np.pi * self.frequency * time + self.phase)
        return self.base + waves.sum(axis=0)


def sample_body(rng: np.random.Generator, ranges: Ranges) -> Body:
    """Returns a random infant: proportions within the ranges, a posture of each limb, writhing and fidgety movement."""
    arm, leg, head, girth = (sample_uniform(rng, r) for r in (ranges.limb, ranges.limb, ranges.head, ranges.girth))
    scale = np.concatenate([np.full(len(TRUNK), 0.035), np.full(ANGLES - len(TRUNK), 0.22)])
    relative = rng.uniform(0.3, 1.0, (3, ANGLES)) * np.array([[1.0], [0.6], [0.12]])
    frequency = rng.uniform([[0.08], [0.25], [0.9]], [[0.25], [0.7], [1.8]], (3, ANGLES))
    phase = rng.uniform(0, 2 * np.pi, (3, ANGLES))
    return Body(arm, leg, head, girth, _sample_posture(rng), relative * scale, frequency, phase)


def _sample_posture(rng: np.random.Generator) -> np.ndarray:
    low, high = np.radians(np.array(TRUNK_DEGREES, float).T)
    return np.concatenate([rng.uniform(low, high), _sample_pair(rng, ARM_POSTURES), _sample_pair(rng, LEG_POSTURES)])


def _sample_pair(rng: np.random.Generator, postures: dict) -> np.ndarray:
    """Returns random joint angles in radians of both arms or both legs, of the right limb first.

    The two limbs have the same posture more often than by chance. `postures` is ARM_POSTURES or LEG_POSTURES.
    """
    probabilities, intervals = zip(*postures.values(), strict=True)
    right, left = rng.choice(len(probabilities), 2, p=probabilities)
    if rng.random() < 0.35:
        left = right
    low, high = np.radians(np.array([intervals[right], intervals[left]], float)).transpose(2, 0, 1)
    return rng.uniform(low, high).ravel()


def _rotation(angle: float) -> np.ndarray:
    """Returns the [3, 3] matrix of a rotation in the image plane; a positive angle, in radians, rotates x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _directions(in_plane: np.ndarray, raised: np.ndarray) -> np.ndarray:
    """Returns the [2, 3] unit vectors of the right and left limb from angles [2].

    An in-plane angle of 0 points to the feet and π/2 outwards; a positive `raised` angle points towards the camera.
    """
    side = np.array([-1.0, 1.0])
    flat = np.cos(raised)
    return np.stack([side * np.sin(in_plane) * flat, np.cos(in_plane) * flat, np.sin(raised)], axis=1)


def on_head(angles: np.ndarray, longitude: ArrayLike, latitude: ArrayLike) -> np.ndarray:
    """Returns points [..., 3] on the surface of the unit-sphere head, rotated by yaw and pitch but not by tilt.

    Longitude 0 is the middle of the face; positive latitude is towards the chin. Both are in radians and broadcast.
    """
    yaw, pitch = angles[TRUNK.index("yaw")], angles[TRUNK.index("pitch")]
    longitude, latitude = np.broadcast_arrays(np.asarray(longitude) + yaw, np.asarray(latitude) + pitch)
    flat = np.cos(latitude)
    return np.stack([np.sin(longitude) * flat, np.sin(latitude), np.cos(longitude) * flat], axis=-1)


def joints(body: Body, time: float) -> dict[str, np.ndarray]:
    """Returns the points of the body by name at a time in seconds: [2, 3] for pairs, [3] for single points.

    `head_frame` is the [3, 3] matrix that maps points of `on_head` to offsets from `head`.
    """
    angles = body.angles(time)
    bend, twist, hip_twist, tilt, _, _ = angles[: len(TRUNK)]
    upper, lower = _rotation(bend / 2), _rotation(-bend / 2)
    arms = angles[len(TRUNK) : len(TRUNK) + 2 * len(ARM)].reshape(2, -1).T
    legs = angles[len(TRUNK) + 2 * len(ARM) :].reshape(2, -1).T
    points = _trunk_joints(upper, lower, twist, hip_twist)
    points |= _head_joints(body, angles, points["neck"], upper @ _rotation(tilt))
    points |= _arm_joints(body, arms, points["shoulder"], upper)
    points |= _leg_joints(body, legs, points["hip"], lower)
    return points


def _trunk_joints(upper: np.ndarray, lower: np.ndarray, twist: float, hip_twist: float) -> dict[str, np.ndarray]:
    side = np.array([[-1.0], [1.0]])
    across = np.array([np.cos(twist), 0, -np.sin(twist)])
    hip_across = np.array([np.cos(hip_twist), 0, -np.sin(hip_twist)])
    front = np.array([np.sin(twist), 0, np.cos(twist)])
    belly = np.array([np.sin((twist + hip_twist) / 2), 0, np.cos((twist + hip_twist) / 2)])
    return {
        "shoulder": (np.array([0, -SHOULDER_UP, 0.035]) + side * SHOULDER * across) @ upper.T,
        "hip": (np.array([0, PELVIS_DOWN, 0.03]) + side * HIP * hip_across) @ lower.T,
        "neck": upper @ np.array([0, -SHOULDER_UP - 0.02, 0.03]),
        "spine_top": upper @ np.array([0, -CHEST_UP, 0.0]),
        "navel_base": np.zeros(3),
        "spine_bottom": lower @ np.array([0, PELVIS_DOWN, 0.0]),
        "chest": upper @ (np.array([0, -CHEST_UP, 0]) + 0.07 * front),
        "navel": 0.075 * belly,
    }


def _head_joints(body: Body, angles: np.ndarray, neck: np.ndarray, frame: np.ndarray) -> dict[str, np.ndarray]:
    size = body.head * np.array([HEAD_WIDTH, HEAD_HEIGHT, HEAD_WIDTH])
    head = neck + frame @ np.array([0, -0.93 * size[1], 0.03])
    head_frame = frame * size
    eyes = on_head(angles, [-EYE_POSITION[0], EYE_POSITION[0]], EYE_POSITION[1])
    chin = on_head(angles, *CHIN_POSITION)
    return {"head": head, "head_frame": head_frame, "eye": head + eyes @ head_frame.T, "chin": head + head_frame @ chin}


def _arm_joints(body: Body, arms: np.ndarray, shoulder: np.ndarray, frame: np.ndarray) -> dict[str, np.ndarray]:
    abduct, raised, elbow_angle, fore_raised, wrist_angle = arms
    fore = abduct + elbow_angle
    elbow = shoulder + body.arm * UPPER_ARM * _directions(abduct, raised) @ frame.T
    wrist = elbow + body.arm * FOREARM * _directions(fore, fore_raised) @ frame.T
    finger = wrist + body.arm * HAND * _directions(fore + wrist_angle, 0.8 * fore_raised) @ frame.T
    return {"elbow": elbow, "wrist": wrist, "finger": finger}


def _leg_joints(body: Body, legs: np.ndarray, hip: np.ndarray, frame: np.ndarray) -> dict[str, np.ndarray]:
    spread, lift, knee_angle, shank_lift, ankle_angle, foot_lift = legs
    shank = spread - knee_angle
    knee = hip + body.leg * THIGH * _directions(spread, lift) @ frame.T
    ankle = knee + body.leg * SHANK * _directions(shank, shank_lift) @ frame.T
    toe = ankle + body.leg * FOOT * _directions(shank + ankle_angle, foot_lift) @ frame.T
    return {"knee": knee, "ankle": ankle, "toe": toe}


def keypoints(points: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the [21, 3] keypoints of `INFANT_21` in the axes of the body, from the points of `joints`."""
    pairs = np.stack(
        [points[n] for n in ("eye", "shoulder", "elbow", "wrist", "finger", "hip", "knee", "ankle", "toe")]
    )
    single = np.stack([points[n] for n in ("chin", "chest", "navel")])
    return np.concatenate([pairs[:, 0], pairs[:, 1], single])
