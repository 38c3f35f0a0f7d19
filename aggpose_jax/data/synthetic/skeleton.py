"""Poses a body: from joint angles to the rotation of each bone, and from there to the places of its vertices.

Joint angles are anatomical and in radians. 0 everywhere is lying straight, with the arms along the trunk and their
elbow creases to the front. See `ANGLES`.
"""

import functools

import numpy as np

from aggpose_jax.data.synthetic.mesh import Shape, load_mesh

# The angles of one limb. For an arm, `spread` lifts it sideways off the trunk (π/2: straight outwards, π: upwards
# along the head) and `lift` to the front; `turn` rotates it outwards about its length; `flex` bends elbow or knee;
# `roll` turns the palm to the front; `bend` bends the wrist towards the palm, or points the foot; `curl` bends fingers
# or toes.
LIMB = ("spread", "lift", "turn", "flex", "roll", "bend", "curl")
TRUNK = ("trunk_bend", "trunk_twist", "trunk_flex", "head_tilt", "head_yaw", "head_pitch")
ANGLES = (
    *TRUNK,
    *(f"{side}_{limb}_{angle}" for limb in ("arm", "leg") for side in ("right", "left") for angle in LIMB),
)
SIDES = {"right": -1.0, "left": 1.0}


def angle_slice(side: str, limb: str) -> slice:
    """Returns the place in a vector of angles of the seven angles of one limb ("arm" or "leg")."""
    start = len(TRUNK) + len(LIMB) * (2 * (limb == "leg") + (side == "left"))
    return slice(start, start + len(LIMB))


def rotation(axis: np.ndarray, angle) -> np.ndarray:
    """Returns the [..., 3, 3] rotation about a unit axis [3] or [..., 3] by an angle [...] (Rodrigues' formula)."""
    angle = np.asarray(angle, float)
    x, y, z = np.moveaxis(np.broadcast_to(axis, (*angle.shape, 3)), -1, 0)
    c, s = np.cos(angle), np.sin(angle)
    t = 1 - c
    result = np.empty((*angle.shape, 3, 3))
    result[..., 0, 0], result[..., 1, 1], result[..., 2, 2] = c + t * x * x, c + t * y * y, c + t * z * z
    result[..., 0, 1], result[..., 1, 0] = t * x * y - s * z, t * x * y + s * z
    result[..., 0, 2], result[..., 2, 0] = t * x * z + s * y, t * x * z - s * y
    result[..., 1, 2], result[..., 2, 1] = t * y * z - s * x, t * y * z + s * x
    return result


def limb_frames(limb: str, angles: np.ndarray, side: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the frames [..., 3, 3] of the upper and the lower segment of a limb in the axes of chest or pelvis.

    The columns of a frame are the direction along the segment, the direction in which the joint below it bends the
    limb, and the axis of the hinge. `angles` is [..., 7] in the order of `LIMB`; `side` [...] is one of `SIDES`.
    """
    spread, lift, turn, flex = (angles[..., i] for i in range(4))
    sine, cosine, up, flat = np.sin(spread), np.cos(spread), np.sin(lift), np.cos(lift)
    zero = np.zeros_like(sine)
    along = np.stack([side * sine * flat, -cosine * flat, up], axis=-1)
    front = np.stack([-side * sine * up, cosine * up, flat], axis=-1)
    outwards = np.stack([side * cosine, sine, zero], axis=-1)
    if limb == "leg":  # A knee bends backwards, and a leg that is turned outwards brings the shin inwards.
        front, outwards = -front, -outwards
    side = np.asarray(side)[..., None]
    bending = np.cos(turn)[..., None] * front + np.sin(turn)[..., None] * outwards
    hinge = -side * (np.cos(turn)[..., None] * outwards - np.sin(turn)[..., None] * front)
    sine, cosine = np.sin(flex)[..., None], np.cos(flex)[..., None]
    upper = np.stack([along, bending, hinge], axis=-1)
    lower = np.stack([cosine * along + sine * bending, cosine * bending - sine * along, hinge], axis=-1)
    return upper, lower


_SIGNS = np.array(list(SIDES.values()))
_ARM = ("upper_arm", "forearm", "hand", "fingers", "fingertips", "thumb")
_LEG = ("thigh", "shin", "foot", "toes")


@functools.cache
def _bones(names: tuple[str, ...]) -> np.ndarray:
    """Returns the indices [N, 2] of bones of the right and left side."""
    return np.array([[load_mesh().bone(f"{side}_{name}") for side in SIDES] for name in names])


def head_rotations(chest: np.ndarray, tilt, yaw, pitch) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rotations [..., 3, 3] of neck and head on a chest [3, 3]; each turns by half of the angles [...]."""
    x, y, z = np.eye(3)
    half = rotation(z, tilt / 2) @ rotation(y, yaw / 2) @ rotation(x, pitch / 2)
    return chest @ half, chest @ half @ half


def bone_rotations(shape: Shape, angles: np.ndarray) -> np.ndarray:
    """Returns the rotation [J, 3, 3] of each bone from its rest pose, in the axes of the pelvis, from angles [A]."""
    mesh = load_mesh()
    bend, twist, flex, tilt, yaw, pitch = angles[: len(TRUNK)]
    x, y, z = np.eye(3)
    half = rotation(z, bend / 2) @ rotation(y, twist / 2) @ rotation(x, flex / 2)
    chest = half @ half
    rotations = np.tile(np.eye(3), (len(mesh.bones), 1, 1))
    rotations[mesh.bone("belly")], rotations[mesh.bone("chest")] = half, chest
    rotations[mesh.bone("neck")], rotations[mesh.bone("head")] = head_rotations(chest, tilt, yaw, pitch)
    limbs = angles[len(TRUNK) :].reshape(2, 2, len(LIMB))
    _rotate_arms(shape, limbs[0], chest, rotations)
    _rotate_legs(shape, limbs[1], rotations)
    return rotations


def _rotate_arms(shape: Shape, angles: np.ndarray, chest: np.ndarray, rotations: np.ndarray) -> None:
    """Writes the rotations of the bones of both arms, from angles [2, 7] of the right and the left one."""
    upper, lower = limb_frames("arm", angles, _SIGNS)
    spread, _, _, _, roll, bend, curl = angles.T
    bones = _bones(_ARM)
    # The collarbone follows the arm once it is lifted over the shoulder.
    raised = _SIGNS * 0.35 * np.maximum(spread - 1.2, 0)
    rotations[_bones(("clavicle",))[0]] = chest @ rotation(np.array([0, 0, 1.0]), raised)
    rest_upper, rest_lower = shape.arm_frames
    rotations[bones[0]] = chest @ upper @ rest_upper.swapaxes(-1, -2)
    length = rest_lower[..., 0]
    forearm = chest @ lower @ rest_lower.swapaxes(-1, -2) @ rotation(length, _SIGNS * roll)
    rotations[bones[1]] = forearm
    bends = rotation(shape.knuckles, np.stack([bend, bend + curl, bend + 2.1 * curl]))
    rotations[bones[2:5]] = forearm @ bends
    rotations[bones[5]] = forearm @ bends[0] @ rotation(length, -_SIGNS * 0.5 * curl)


def _rotate_legs(shape: Shape, angles: np.ndarray, rotations: np.ndarray) -> None:
    """Writes the rotations of the bones of both legs, from angles [2, 7] of the right and the left one."""
    upper, lower = limb_frames("leg", angles, _SIGNS)
    _, _, _, _, roll, bend, curl = angles.T
    bones = _bones(_LEG)
    rest_upper, rest_lower = shape.leg_frames
    rotations[bones[0]] = upper @ rest_upper.swapaxes(-1, -2)
    shin = lower @ rest_lower.swapaxes(-1, -2)
    rotations[bones[1]] = shin
    x, y, _ = np.eye(3)
    foot = shin @ rotation(y, _SIGNS * roll) @ rotation(x, bend)
    rotations[bones[2]] = foot
    rotations[bones[3]] = foot @ rotation(x, -curl)


def bone_positions(shape: Shape, rotations: np.ndarray) -> np.ndarray:
    """Returns the place [J, 3] of the joint of each bone; the pelvis is at the origin."""
    mesh = load_mesh()
    positions = np.zeros((len(mesh.bones), 3))
    for bone, parent in enumerate(mesh.parents[1:], start=1):
        offset = shape.joints[bone] - shape.joints[parent]
        positions[bone] = positions[parent] + shape.sizes[parent] * rotations[parent] @ offset
    return positions


def skin(shape: Shape, rotations: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vertices [V, 3] and points [P, 3] of a posed body by linear blend skinning."""
    mesh = load_mesh()
    linear = rotations * shape.sizes[:, None, None]
    moved = positions - np.einsum("jab,jb->ja", linear, shape.joints)
    transforms = np.concatenate([linear, moved[..., None]], axis=-1).reshape(len(linear), 12).astype(np.float32)
    blended = (mesh.weights @ transforms).reshape(-1, 3, 4)
    rest = np.concatenate([shape.vertices, shape.points])
    posed = np.einsum("vab,vb->va", blended[..., :3], rest) + blended[..., 3]
    return posed[: len(shape.vertices)], posed[len(shape.vertices) :]
