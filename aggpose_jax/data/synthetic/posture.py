"""Postures and movements of infants who lie on a bed, within anatomical limits.

Axes: x to the infant's left, y towards the head, and z away from the bed for an infant on its back. Angles are those of
`skeleton.ANGLES`; the tables below are in degrees.
"""

import dataclasses
import functools
import itertools

import numpy as np

from aggpose_jax.data.synthetic.mesh import Shape, load_mesh, make_shape
from aggpose_jax.data.synthetic.skeleton import (
    ANGLES,
    SIDES,
    TRUNK,
    angle_slice,
    bone_positions,
    bone_rotations,
    head_rotations,
    limb_frames,
    rotation,
    skin,
)

# Each posture of a limb: its weight for infants on the back, on the side and on the belly; the intervals of spread,
# lift, turn, flex, roll, bend and curl; and whether the limb rests on the bed, as far as its angles allow.
ARM_POSTURES = {
    "beside": ((20, 10, 12), ((10, 60), (-15, 15), (-20, 80), (5, 75), (-70, 70), (-25, 40), (5, 80)), True),
    "cactus": ((24, 15, 44), ((50, 110), (-25, 20), (35, 90), (40, 125), (-70, 70), (-25, 40), (5, 80)), True),
    "up": ((14, 15, 44), ((110, 165), (-20, 20), (20, 90), (5, 80), (-70, 70), (-25, 40), (5, 80)), True),
    "chest": ((12, 20, 0), ((8, 50), (0, 45), (-65, 0), (65, 130), (-40, 70), (-25, 50), (10, 85)), False),
    "face": ((12, 20, 0), ((12, 60), (15, 60), (-25, 40), (112, 146), (-40, 70), (-25, 50), (10, 85)), False),
    "midline": ((6, 10, 0), ((0, 30), (30, 70), (-50, -10), (55, 100), (-40, 70), (-25, 40), (0, 70)), False),
    "reach": ((12, 10, 0), ((15, 120), (25, 90), (-40, 60), (5, 75), (-70, 70), (-25, 30), (0, 60)), False),
}
LEG_POSTURES = {
    "frog": ((28, 10, 40), ((38, 82), (5, 60), (40, 86), (65, 132), (-15, 15), (-20, 45), (-10, 30)), True),
    "straight": ((18, 15, 40), ((2, 35), (-8, 20), (-10, 40), (0, 35), (-15, 15), (0, 50), (-10, 30)), True),
    "feet_down": ((18, 10, 0), ((4, 42), (30, 68), (-5, 35), (62, 115), (-15, 15), (0, 45), (-10, 30)), True),
    "flexed": ((16, 30, 0), ((5, 50), (60, 112), (-5, 40), (65, 132), (-15, 15), (-20, 40), (-10, 30)), False),
    "kick": ((14, 20, 20), ((0, 50), (15, 85), (-15, 40), (0, 60), (-15, 15), (-20, 50), (-10, 30)), False),
    "crossed": ((6, 15, 0), ((-18, 2), (4, 40), (5, 45), (8, 70), (-15, 15), (-20, 45), (-10, 30)), False),
}
TRUNK_DEGREES = ((-16, 16), (-14, 14), (-4, 22), (-22, 22), (-72, 72), (-8, 12))
CANDIDATES = 48  # random postures of a limb, of which the one that fits best between trunk and bed is taken
KEYS = 12  # postures through which a movement goes before it starts again


@dataclasses.dataclass(frozen=True, eq=False)
class Movement:
    """How one infant lies and moves.

    Attributes:
      shape: its body.
      roll: rotation about its length in radians: 0 on the back, π on the belly.
      keys: [M, A] joint angles at the times `times` [M] in seconds; after `period` seconds they repeat.
      tremor: [3, A] amplitude, frequency in hertz and phase of small quick movements.
    """

    shape: Shape
    roll: float
    keys: np.ndarray
    times: np.ndarray
    period: float
    tremor: np.ndarray

    def angles(self, time: float) -> np.ndarray:
        """Returns the [A] joint angles at a time in seconds."""
        time = time % self.period
        last = np.searchsorted(self.times, time, side="right") - 1
        following = (last + 1) % len(self.times)
        end = self.times[following] if following else self.period
        fraction = (time - self.times[last]) / (end - self.times[last])
        fraction = fraction * fraction * (3 - 2 * fraction)
        amplitude, frequency, phase = self.tremor
        tremor = amplitude * (np.sin(2 * np.pi * frequency * time + phase))
        return (1 - fraction) * self.keys[last] + fraction * self.keys[following] + tremor


@dataclasses.dataclass(frozen=True)
class PosedBody:
    """An infant at one moment, on a bed at height 0: vertices [V, 3] and points [P, 3] in metres."""

    vertices: np.ndarray
    points: np.ndarray


def sample_shape(rng: np.random.Generator) -> Shape:
    """Returns the body of a random infant between a preterm newborn and a one-year-old."""
    age = rng.random()  # 0 preterm, .3 term, 1 a year old
    sex = rng.random()
    ancestry = rng.dirichlet((0.7, 0.7, 0.7))
    fat = np.clip(rng.normal(-0.5 + 1.6 * min(age, 0.6), 0.5), -1.2, 1.2)
    weights = {"min": max(-fat, 0), "max": max(fat, 0), "average": 1 - abs(fat)}
    targets = {
        f"{kind}_{name}": strength * share
        for kind, strength in (*zip(("african", "asian", "caucasian"), ancestry, strict=True), *weights.items())
        for name, share in (("female", sex), ("male", 1 - sex))
    }
    head = 1.3 - 0.25 * age + rng.normal(0, 0.04)
    arm, leg = 0.9 + 0.1 * age + rng.normal(0, 0.04), 0.82 + 0.16 * age + rng.normal(0, 0.04)
    hand, foot = arm * rng.uniform(0.9, 1.15), leg * rng.uniform(0.95, 1.2)
    sizes = {
        "head": head,
        **dict.fromkeys(("upper_arm", "forearm"), arm),
        **dict.fromkeys(("hand", "thumb", "fingers", "fingertips"), hand),
        **dict.fromkeys(("thigh", "shin"), leg),
        **dict.fromkeys(("foot", "toes"), foot),
    }
    return make_shape(targets, sizes)


def sample_movement(rng: np.random.Generator, shape: Shape, moving: bool) -> Movement:
    """Returns how a random infant lies, and how it moves if `moving` is true."""
    position = int(rng.choice(3, p=(0.82, 0.1, 0.08)))
    roll = [rng.normal(0, 0.12), rng.choice((-1, 1)) * rng.uniform(0.6, 1.7), np.pi + rng.normal(0, 0.12)][position]
    key = _sample_trunk(rng, position, roll)
    sampler = _LimbSampler(rng, shape, position, roll)
    for side in SIDES:
        for limb in ("arm", "leg"):
            sampler.place(key, side, limb)
    _share_postures(rng, key, sampler)
    keys = [key]
    while moving and len(keys) < KEYS:
        keys.append(_next_key(rng, keys[-1], sampler))
    steps = rng.uniform(0.5, 2.2, len(keys))
    tremor = np.stack([rng.uniform(0, 0.03, len(ANGLES)), rng.uniform(0.5, 1.8, len(ANGLES)),
                       rng.uniform(0, 2 * np.pi, len(ANGLES))])  # fmt: skip
    tremor[0, : len(TRUNK)] *= 0.3
    times = np.concatenate([[0], np.cumsum(steps)])
    return Movement(shape, float(roll), np.stack(keys), times[:-1], float(times[-1]), tremor * (1.0 if moving else 0.0))


def _sample_trunk(rng: np.random.Generator, position: int, roll: float) -> np.ndarray:
    key = np.zeros(len(ANGLES))
    low, high = np.radians(np.array(TRUNK_DEGREES, float).T)
    key[: len(TRUNK)] = rng.uniform(low, high)
    if position == 2:  # On the belly the face lies on a cheek.
        key[TRUNK.index("head_yaw")] = rng.choice((-1, 1)) * rng.uniform(1.0, 1.35)
        key[TRUNK.index("trunk_flex")] = rng.uniform(-0.25, 0.05)
    return key


def _share_postures(rng: np.random.Generator, key: np.ndarray, sampler: "_LimbSampler") -> None:
    """Makes some infants symmetric, and gives some the fencing posture of the asymmetric tonic neck reflex."""
    if sampler.position:
        return
    for limb in ("arm", "leg"):
        if rng.random() < 0.25:
            key[angle_slice("left", limb)] = key[angle_slice("right", limb)]
    if rng.random() < 0.1:
        facing, other = ("left", "right") if rng.random() < 0.5 else ("right", "left")
        key[TRUNK.index("head_yaw")] = SIDES[facing] * rng.uniform(0.8, 1.3)
        stretched = np.radians([rng.uniform(70, 100), rng.uniform(-5, 15), rng.uniform(0, 60), rng.uniform(0, 15)])
        key[angle_slice(facing, "arm")][:4] = stretched
        sampler.place(key, other, "arm", "cactus")


def _next_key(rng: np.random.Generator, key: np.ndarray, sampler: "_LimbSampler") -> np.ndarray:
    """Returns joint angles that follow others: some limbs take a new posture, trunk and head turn a little."""
    key = key.copy()
    low, high = np.radians(np.array(TRUNK_DEGREES, float).T)
    if sampler.position == 0:
        key[: len(TRUNK)] = np.clip(key[: len(TRUNK)] + rng.normal(0, 0.12, len(TRUNK)), low, high)
        if rng.random() < 0.3:
            yaw = TRUNK.index("head_yaw")
            key[yaw] = rng.uniform(low[yaw], high[yaw])
    for side in SIDES:
        for limb in ("arm", "leg"):
            if rng.random() < 0.45:
                sampler.place(key, side, limb)
    return key


class _LimbSampler:
    """Finds postures of limbs that go neither into the bed nor into the trunk, the head or the other leg."""

    def __init__(self, rng: np.random.Generator, shape: Shape, position: int, roll: float):
        self.rng, self.shape, self.position = rng, shape, position
        self.root = rotation(np.array([0, 1.0, 0]), roll)
        # The bed is below the pelvis by the thickness of the trunk.
        self.thickness = 0.05 + 0.02 * abs(np.sin(roll))

    def place(self, key: np.ndarray, side: str, limb: str, posture: str | None = None) -> None:
        """Writes the angles of a random posture of a limb, or of the named one, into `key`."""
        table = ARM_POSTURES if limb == "arm" else LEG_POSTURES
        if posture is None:
            weights = np.array([weights[self.position] for weights, _, _ in table.values()], float)
            posture = str(self.rng.choice(list(table), p=weights / weights.sum()))
        _, intervals, resting = table[posture]
        low, high = np.radians(np.array(intervals, float).T)
        angles = self.rng.uniform(low, high, (CANDIDATES, len(low)))
        depth, height = self._depth(key, side, limb, angles)
        if resting:
            depth = depth + 0.3 * np.maximum(height, 0)
        key[angle_slice(side, limb)] = angles[depth.argmin()]

    def _depth(self, key: np.ndarray, side: str, limb: str, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns how far each candidate [C, 7] goes into something, and its height above the bed, in metres."""
        mesh = load_mesh()
        rotations, joints = self._trunk(key[: len(TRUNK)].tobytes())
        chain, radii = self._chain(side, limb, angles, rotations, joints)
        head, size = mesh.bone("head"), self.shape.sizes[mesh.bone("head")]
        skull = joints[head] + size * rotations[head] @ np.array([0, 0.045, 0.015])
        depth = np.maximum(radii + 0.05 - _distance(chain, joints[0], joints[mesh.bone("neck")]), 0).sum(axis=1)
        depth += np.maximum(radii + 0.06 * size - _distance(chain, skull, skull), 0).sum(axis=1)
        other = key[angle_slice("left" if side == "right" else "right", limb)]
        if limb == "leg" and other.any():  # The leg that is placed first has no other leg to avoid.
            points, _ = self._chain("left" if side == "right" else "right", limb, other[None], rotations, joints)
            for start, end in itertools.pairwise(points[0]):
                depth += 0.4 * np.maximum(radii + 0.025 - _distance(chain, start, end), 0).sum(axis=1)
        bed = (joints[[0, mesh.bone("chest")]] @ self.root[2]).min() - self.thickness
        heights = chain @ self.root[2] - radii - bed
        return depth + np.maximum(-heights, 0).sum(axis=1), heights[:, [0, 2]].sum(axis=1)

    @functools.lru_cache(maxsize=1)  # noqa: B019 (the sampler lives as long as its cache is of use)
    def _trunk(self, angles: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Returns rotations and joints of the bones with the given angles of the trunk; those of the limbs are 0."""
        vector = np.concatenate([np.frombuffer(angles), np.zeros(len(ANGLES) - len(TRUNK))])
        rotations = bone_rotations(self.shape, vector)
        return rotations, bone_positions(self.shape, rotations)

    def _chain(self, side, limb, angles, rotations, joints) -> tuple[np.ndarray, np.ndarray]:
        """Returns points [C, 4, 3] along a limb with angles [C, 7], from elbow or knee to the tip, and radii [4]."""
        mesh, shape = load_mesh(), self.shape
        names = ("upper_arm", "forearm", "hand") if limb == "arm" else ("thigh", "shin", "foot")
        bones = [mesh.bone(f"{side}_{name}") for name in names]
        tip = mesh.points.index(f"{side}_middle_finger" if limb == "arm" else f"{side}_toe")
        places = np.stack([*shape.joints[bones], shape.points[tip]])
        lengths = np.linalg.norm(np.diff(places, axis=0), axis=1) * shape.sizes[bones]
        upper, lower = limb_frames(limb, angles, SIDES[side])
        base = rotations[mesh.bone("chest")] if limb == "arm" else np.eye(3)
        first, second = upper[..., 0] @ base.T, lower[..., 0] @ base.T
        last = second if limb == "arm" else -(lower[..., 1] @ base.T)  # A foot points to the front of the shin.
        middle = joints[bones[0]] + lengths[0] * first
        end = middle + lengths[1] * second
        points = [middle, middle + 0.5 * lengths[1] * second, end, end + 0.8 * lengths[2] * last]
        radii = (0.02, 0.018, 0.016, 0.008) if limb == "arm" else (0.03, 0.026, 0.02, 0.01)
        return np.stack(points, axis=1), np.array(radii)


def _distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns the distances [...] of points [..., 3] from a line segment."""
    along = end - start
    fraction = np.clip((points - start) @ along / max(along @ along, 1e-12), 0, 1)
    return np.linalg.norm(points - start - fraction[..., None] * along, axis=-1)


@functools.lru_cache(maxsize=2)
def pose(movement: Movement, time: float) -> PosedBody:
    """Returns the infant at a time in seconds, lying on a bed at height 0."""
    mesh, shape = load_mesh(), movement.shape
    angles = movement.angles(time)
    root = rotation(np.array([0, 1.0, 0]), movement.roll)
    rotations = root @ _lay_head(shape, angles, root)
    vertices, points = skin(shape, rotations, bone_positions(shape, rotations))
    trunk = mesh.weights[: len(vertices), : mesh.bone("neck")].sum(axis=1) > 0.9
    height = np.quantile(vertices[trunk, 2], 0.02)
    vertices[:, 2] -= height
    points[:, 2] -= height
    # The mattress gives way a little, and flesh becomes flat where it lies on it.
    vertices[:, 2] = np.where(vertices[:, 2] < 0, 0.1 * vertices[:, 2], vertices[:, 2])
    points[:, 2] = np.maximum(points[:, 2], 0.004)
    return PosedBody(vertices, points)


def _lay_head(shape: Shape, angles: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Returns the rotations of the bones with the head bent so far that it lies on the bed, if it can."""
    mesh = load_mesh()
    neck, head, chest = mesh.bone("neck"), mesh.bone("head"), mesh.bone("chest")
    rotations = bone_rotations(shape, angles)
    positions = bone_positions(shape, rotations)
    _, _, _, tilt, yaw, pitch = angles[: len(TRUNK)]
    bends = np.radians(np.arange(-24, 25, 4))
    necks, heads = head_rotations(rotations[chest], tilt, yaw, pitch + bends)
    up = root[2]
    offset = shape.sizes[neck] * (shape.joints[head] - shape.joints[neck])
    places = (positions[neck] + necks @ offset) @ up
    skull, back = _resting_vertices()
    lowest = places + shape.sizes[head] * ((shape.vertices[skull] - shape.joints[head]) @ (up @ heads).T).min(axis=0)
    back_heights = positions[chest] @ up + shape.sizes[chest] * (
        (shape.vertices[back] - shape.joints[chest]) @ (up @ rotations[chest])
    )
    best = np.abs(lowest - back_heights.min()).argmin()
    rotations[neck], rotations[head] = necks[best], heads[best]
    return rotations


@functools.cache
def _resting_vertices() -> tuple[np.ndarray, np.ndarray]:
    """Returns some of the vertices of the skull and of the chest, which may touch the bed."""
    mesh = load_mesh()
    weights = mesh.weights[: len(mesh.is_eye)]
    skull = np.flatnonzero(weights[:, mesh.bone("head")] > 0.95)[::8]
    return skull, np.flatnonzero(weights[:, mesh.bone("chest")] > 0.8)[::3]
