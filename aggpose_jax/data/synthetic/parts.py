"""Builds an infant from groups of capsules between its projected joints. Radii are in statures."""

import dataclasses
import math

import numpy as np

from aggpose_jax.data.synthetic import body as bodies
from aggpose_jax.data.synthetic.appearance import OUTFITS, Appearance
from aggpose_jax.data.synthetic.canvas import Group
from aggpose_jax.data.synthetic.scene import Camera, Scene
from aggpose_jax.data.synthetic.textures import repeat

ARM_RADII = {"shoulder": 0.040, "elbow": 0.033, "wrist": 0.022}
LEG_RADII = {"hip": 0.060, "knee": 0.042, "ankle": 0.026}
CLOTH = 1.12  # radius of a sleeve, relative to the limb in it
WHITE = np.array([235.0, 232, 228])

Points = dict[str, np.ndarray]


def project_points(camera: Camera, points: Points) -> Points:
    """Returns every joint as [..., 4]: x, y, z in pixels, and the pixels per stature at this point."""
    stacked = np.concatenate([p.reshape(-1, 3) for p in points.values()])
    positions, scale = camera.project(stacked)
    projected = np.concatenate([positions, scale[:, None]], axis=1)
    split = np.split(projected, np.cumsum([p.size // 3 for p in points.values()])[:-1])
    return {name: array.reshape(*p.shape[:-1], 4) for (name, p), array in zip(points.items(), split, strict=True)}


def capsule(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float) -> np.ndarray:
    """Returns the capsule [8], in pixels, between two projected points [4]; the radii are given in statures."""
    shape = np.empty(8)
    shape[:4], shape[4:] = start, end
    shape[3] *= start_radius
    shape[7] *= end_radius
    return shape


def interpolate(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """Returns the point at a fraction of the way from start (0) to end (1)."""
    return start + fraction * (end - start)


def perpendicular(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns the vector [4] of one stature perpendicular to start → end, to the right of this direction on screen."""
    x, y = (end - start)[:2].tolist()
    step = start[3] / max(math.hypot(x, y), 1e-6)
    return np.array([-y * step, x * step, 0, 0])


def infant_groups(scene: Scene, appearance: Appearance, time: float) -> list[Group]:
    """Returns all groups of capsules of the infant at a time in seconds, in the order in which they are painted."""
    joints = bodies.joints(scene.body, time)
    p = project_points(scene.camera, joints | _face_points(scene.body, joints, time))
    clothes = _repeated_clothes(appearance, scene.camera.scale)
    groups = [*_trunk(p, appearance, clothes), *_head(p, appearance, scene.body.head)]
    for side in (0, 1):
        groups += _limb([p[n][side] for n in LEG_RADII], list(LEG_RADII.values()), scene, appearance, clothes, "leg")
        groups.append(_foot(p["ankle"][side], p["toe"][side], 1 - 2 * side, appearance, clothes))
        groups += _limb([p[n][side] for n in ARM_RADII], list(ARM_RADII.values()), scene, appearance, clothes, "arm")
        groups.append(_hand(p["wrist"][side], p["finger"][side], 1 - 2 * side, appearance))
    return groups


def _repeated_clothes(appearance: Appearance, scale: float) -> dict[str, np.ndarray]:
    """Returns the fabrics of top, bottom and socks by name, each repeated to a size in pixels that covers the trunk."""
    fabrics = {"top": appearance.top, "bottom": appearance.bottom, "socks": appearance.socks}
    return {
        name: repeat(fabric.tile, fabric.period * scale, 0.3 * scale)
        for name, fabric in fabrics.items()
        if fabric is not None
    }


def face_window(scene: Scene, time: float) -> tuple[np.ndarray, float]:
    """Returns the centre [2] and half of the side, in pixels, of a square that contains the face."""
    position, scale = scene.camera.project(bodies.joints(scene.body, time)["head"])
    return position[:2], float(1.08 * bodies.HEAD_HEIGHT * scene.body.head * scale)


def _skin(shapes: list[np.ndarray], appearance: Appearance) -> Group:
    return Group(np.array(shapes), appearance.skin)


def _cloth(shapes: list[np.ndarray], cloth: np.ndarray, start: np.ndarray, end: np.ndarray, lift: float) -> Group:
    """Returns a group of clothed capsules. The pattern of the cloth, of `textures.repeat`, follows start → end."""
    angle = np.arctan2(end[1] - start[1], end[0] - start[0])
    return Group(np.array(shapes), cloth=cloth, placement=(angle, start[0], start[1]), lift=lift)


def _trunk_shapes(p: Points, scale: float) -> list[np.ndarray]:
    """Returns the capsules of the trunk, their radii multiplied by `scale` (more than 1 for clothes)."""
    right, left = p["shoulder"]
    hip_right, hip_left = p["hip"]
    top, middle, bottom = p["spine_top"], p["navel_base"], p["spine_bottom"]
    return [
        capsule(interpolate(right, left, 0.12), interpolate(right, left, 0.88), 0.046 * scale, 0.046 * scale),
        capsule(top, middle, 0.088 * scale, 0.102 * scale),
        capsule(middle, bottom, 0.102 * scale, 0.082 * scale),
        capsule(hip_right, hip_left, 0.062 * scale, 0.062 * scale),
    ]


def _trunk(p: Points, appearance: Appearance, clothes: dict[str, np.ndarray]) -> list[Group]:
    """Returns the groups of neck, trunk (bare with marks of nipples and navel, or in a top), and nappy or trousers."""
    outfit, top, bottom = OUTFITS[appearance.outfit], p["spine_top"], p["spine_bottom"]
    groups = [_skin([capsule(top, p["neck"], 0.05, 0.05)], appearance)]
    if outfit["trunk"]:
        groups += [_cloth([shape], clothes["top"], top, bottom, 0.5) for shape in _trunk_shapes(p, 1.05)]
    else:
        groups += [_skin([shape], appearance) for shape in _trunk_shapes(p, 1.0)]
        spots = [(p["navel"], 0.010), *((position, 0.009) for position in p["nipple"])]
        marks = tuple((position, position, radius, 0.75 * appearance.skin[1]) for position, radius in spots)
        groups[-1] = dataclasses.replace(groups[-1], marks=marks)
    right_hip, left_hip = p["hip"]
    if outfit["nappy"]:
        shapes = [
            capsule(right_hip, left_hip, 0.074, 0.074),
            capsule(interpolate(bottom, top, 0.12), bottom, 0.088, 0.085),
        ]
        groups += [Group(shape[None], appearance.nappy, lift=1.5) for shape in shapes]
    elif appearance.bottom is not appearance.top:
        shapes = [
            capsule(right_hip, left_hip, 0.070, 0.070),
            capsule(interpolate(bottom, top, 0.25), bottom, 0.100, 0.088),
        ]
        groups += [_cloth([shape], clothes["bottom"], top, bottom, 1.0) for shape in shapes]
    return groups


def _limb(
    chain: list[np.ndarray],
    radii: list[float],
    scene: Scene,
    appearance: Appearance,
    clothes: dict[str, np.ndarray],
    kind: str,
) -> list[Group]:
    """Returns the groups of the two segments of an arm or leg between three points [4], and of the clothes on them."""
    name, clothed = ("top", appearance.sleeve) if kind == "arm" else ("bottom", appearance.trouser)
    radii = [r * scene.body.girth for r in radii]
    groups = []
    for k in (0, 1):
        start, end = chain[k], chain[k + 1]
        fraction = min(clothed - k, 1.0)
        if fraction < 0.9:
            groups.append(_skin([capsule(start, end, radii[k], radii[k + 1])], appearance))
        if fraction > 0:
            cuff = radii[k] + fraction * (radii[k + 1] - radii[k])
            shape = capsule(start, interpolate(start, end, fraction), radii[k] * CLOTH, cuff * CLOTH)
            groups.append(_cloth([shape], clothes[name], start, end, 0.5))
        elif kind == "leg" and k == 1 and "socks" in clothes:
            shape = capsule(interpolate(start, end, 0.55), end, 0.036, radii[2] * CLOTH)
            groups.append(_cloth([shape], clothes["socks"], start, end, 0.5))
    return groups


def _hand(wrist: np.ndarray, tip: np.ndarray, side: int, appearance: Appearance) -> Group:
    """Returns the capsules of a hand as a group: palm, thumb and four fingers, of which the middle one ends at `tip`.

    `side` is 1 for the right hand and -1 for the left hand.
    """
    step, knuckles = perpendicular(wrist, tip), interpolate(wrist, tip, 0.5)
    shapes = [capsule(wrist, knuckles, 0.023, 0.029)]
    for offset, reach in ((-0.022, 0.86), (0.0, 0.95), (0.021, 0.85), (0.036, 0.66)):
        start, end = knuckles + side * offset * 0.8 * step, interpolate(wrist, tip, reach) + side * offset * step
        shapes.append(capsule(start, end, 0.0115, 0.0095))
    thumb = interpolate(wrist, tip, 0.5) - side * 0.048 * step
    shapes.append(capsule(interpolate(wrist, tip, 0.15), thumb, 0.015, 0.011))
    return _skin(shapes, appearance)


def _foot(
    ankle: np.ndarray, toe: np.ndarray, side: int, appearance: Appearance, clothes: dict[str, np.ndarray]
) -> Group:
    """Returns the capsules of a foot as a group: heel, sole and toes. The big toe, on the inner side, reaches `toe`.

    `side` is 1 for the right foot and -1 for the left foot.
    """
    step = perpendicular(ankle, toe)
    ball = interpolate(ankle, toe, 0.68) + side * 0.012 * step
    shapes = [capsule(ankle, ball, 0.029, 0.032), capsule(ball, interpolate(ankle, toe, 0.90), 0.018, 0.0145)]
    for offset, reach in ((0.024, 0.90), (0.040, 0.82)):
        end = interpolate(ankle, toe, reach) + side * offset * step
        shapes.append(capsule(ball, end, 0.014, 0.0105))
    if "socks" in clothes:
        return _cloth(shapes, clothes["socks"], ankle, toe, 0.5)
    return _skin(shapes, appearance)


def _face_points(body: bodies.Body, joints: Points, time: float) -> Points:
    """Returns points of the head, of its surface and of the chest that are not keypoints, by name, in statures."""
    angles, head, axes = body.angles(time), joints["head"], joints["head_frame"]
    eye = bodies.EYE_POSITION
    face_angles = {
        "right_lids": ([-eye[0] - 0.15, -eye[0] + 0.13], eye[1]),
        "left_lids": ([eye[0] - 0.13, eye[0] + 0.15], eye[1]),
        "brows": ([-eye[0] - 0.14, -eye[0] + 0.10, eye[0] - 0.10, eye[0] + 0.14], eye[1] - 0.24),
        "nose": ([-0.05, 0.05, 0.0], 0.47),
        "mouth": ([-0.20, 0.20], 0.74),
        "cheeks": ([-0.62, 0.62], 0.52),
        "ears": ([-1.5, 1.5], 0.25),
    }
    coordinates = [np.broadcast_arrays(*angle_pair) for angle_pair in face_angles.values()]
    surface = head + bodies.on_head(angles, *np.concatenate(coordinates, axis=1)) @ axes.T
    ends = np.cumsum([len(angle_pair[0]) for angle_pair in coordinates])
    positions = dict(zip(face_angles, np.split(surface, ends[:-1]), strict=True))
    forward = bodies.on_head(angles, 0.0, 0.0)
    chest, spine = joints["chest"], joints["spine_top"]
    nipple_offset = np.array([[-1.0], [1.0]]) * (joints["shoulder"][1] - joints["shoulder"][0]) * 0.24
    return positions | {
        "skull": head + axes @ np.array([0, -0.17, 0]),
        "jaw": head + axes @ np.array([0.25 * forward[0], 0.46, 0]),
        "back": head + axes @ np.array([-0.3 * forward[0], -0.32, -0.2]),
        "nipple": 0.75 * chest + 0.25 * spine + nipple_offset + 0.12 * (joints["navel"] - chest),
    }


def _head(p: Points, appearance: Appearance, size: float) -> list[Group]:
    """Returns the groups of a head: ears, hair behind the forehead, and skull and jaw with the face on them."""
    groups = [_skin([capsule(e, e, 0.022 * size, 0.022 * size)], appearance) for e in p["ears"]]
    if appearance.hair is not None:
        groups.append(Group(capsule(p["back"], p["back"], 0.101 * size, 0.101 * size)[None], appearance.hair))
    skull = capsule(p["skull"], p["jaw"], 0.099 * size, 0.066 * size)
    return [*groups, Group(skull[None], appearance.skin, marks=_face(p, appearance))]


def _face(p: Points, appearance: Appearance) -> tuple:
    """Returns the marks of a face (`Group.marks`): cheeks, nose, mouth, brows and eyes. Later ones cover earlier."""
    dark, lit = appearance.skin
    right, left, tip = p["nose"]
    marks = [(c, c, 0.024, lit * (1.0, 0.87, 0.86)) for c in p["cheeks"]]
    marks += [(tip, tip, 0.014, lit * 1.05), (right, right, 0.005, dark), (left, left, 0.005, dark)]
    marks.append((*p["mouth"], 0.009, 0.5 * lit * (1.1, 0.65, 0.65) + 0.5 * dark))
    for side, name in enumerate(("right_lids", "left_lids")):
        marks.append((p["brows"][2 * side], p["brows"][2 * side + 1], 0.005, 0.7 * dark + 0.3 * lit))
        if appearance.eyes_open:
            marks += [(*p[name], 0.013, WHITE), (p["eye"][side], p["eye"][side], 0.012, appearance.iris)]
        else:
            marks.append((*p[name], 0.004, 0.6 * dark))
    return tuple(marks)
