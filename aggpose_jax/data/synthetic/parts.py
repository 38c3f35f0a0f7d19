"""What an infant is built of: groups of capsules from its projected joints. Radii are in statures."""

import dataclasses
import math

import numpy as np

from aggpose_jax.data.synthetic import body as bodies
from aggpose_jax.data.synthetic.appearance import OUTFITS, Appearance
from aggpose_jax.data.synthetic.canvas import Group
from aggpose_jax.data.synthetic.scene import Camera, Scene
from aggpose_jax.data.synthetic.textures import spread

ARM_RADII = {"shoulder": 0.040, "elbow": 0.033, "wrist": 0.022}
LEG_RADII = {"hip": 0.060, "knee": 0.042, "ankle": 0.026}
CLOTH = 1.12  # a sleeve's radius over the limb's
WHITE = np.array([235.0, 232, 228])

Points = dict[str, np.ndarray]


def projected(camera: Camera, points: Points) -> Points:
    """Every joint as [..., 4]: x, y, z in pixels and pixels a stature there."""
    stacked = np.concatenate([p.reshape(-1, 3) for p in points.values()])
    places, scale = camera.project(stacked)
    both = np.concatenate([places, scale[:, None]], axis=1)
    split = np.split(both, np.cumsum([p.size // 3 for p in points.values()])[:-1])
    return {name: part.reshape(*p.shape[:-1], 4) for (name, p), part in zip(points.items(), split, strict=True)}


def capsule(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float) -> np.ndarray:
    """[8] shape between two projected points [4]; radii in statures."""
    shape = np.empty(8)
    shape[:4], shape[4:] = start, end
    shape[3] *= start_radius
    shape[7] *= end_radius
    return shape


def between(start: np.ndarray, end: np.ndarray, part: float) -> np.ndarray:
    """The point a part of the way from start to end."""
    return start + part * (end - start)


def across(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[4] step of one stature at right angles to start → end, to the right of the way on screen."""
    x, y = (end - start)[:2].tolist()
    step = start[3] / max(math.hypot(x, y), 1e-6)
    return np.array([-y * step, x * step, 0, 0])


def infant(scene: Scene, look: Appearance, time: float) -> list[Group]:
    """All groups of the infant, in painting order."""
    joints = bodies.joints(scene.body, time)
    p = projected(scene.camera, joints | _face_places(scene.body, joints, time))
    worn = _worn(look, scene.camera.scale)
    groups = [*_trunk(p, look, worn), *_head(p, look, scene.body.head)]
    for side in (0, 1):
        groups += _limb([p[n][side] for n in LEG_RADII], list(LEG_RADII.values()), scene, look, worn, "leg")
        groups.append(_foot(p["ankle"][side], p["toe"][side], 1 - 2 * side, look, worn))
        groups += _limb([p[n][side] for n in ARM_RADII], list(ARM_RADII.values()), scene, look, worn, "arm")
        groups.append(_hand(p["wrist"][side], p["finger"][side], 1 - 2 * side, look))
    return groups


def _worn(look: Appearance, scale: float) -> dict[str, np.ndarray]:
    """The clothes, spread wide enough for a trunk."""
    clothes = {"top": look.top, "bottom": look.bottom, "socks": look.socks}
    return {name: spread(c.tile, c.period * scale, 0.3 * scale) for name, c in clothes.items() if c is not None}


def face_window(scene: Scene, time: float) -> tuple[np.ndarray, float]:
    """The [2] centre and the half side, in pixels, of a square that holds the face."""
    place, scale = scene.camera.project(bodies.joints(scene.body, time)["head"])
    return place[:2], float(1.08 * bodies.HEAD_HEIGHT * scene.body.head * scale)


def _skin(shapes: list[np.ndarray], look: Appearance) -> Group:
    return Group(np.array(shapes), look.skin)


def _cloth(shapes: list[np.ndarray], cloth: np.ndarray, start: np.ndarray, end: np.ndarray, lift: float) -> Group:
    """A group in a `spread` cloth that runs along start → end."""
    angle = np.arctan2(end[1] - start[1], end[0] - start[0])
    return Group(np.array(shapes), cloth=cloth, place=(angle, start[0], start[1]), lift=lift)


def _trunk_shapes(p: Points, grown: float) -> list[np.ndarray]:
    right, left = p["shoulder"]
    hip_right, hip_left = p["hip"]
    top, middle, bottom = p["spine_top"], p["navel_base"], p["spine_bottom"]
    return [
        capsule(between(right, left, 0.12), between(right, left, 0.88), 0.046 * grown, 0.046 * grown),
        capsule(top, middle, 0.088 * grown, 0.102 * grown),
        capsule(middle, bottom, 0.102 * grown, 0.082 * grown),
        capsule(hip_right, hip_left, 0.062 * grown, 0.062 * grown),
    ]


def _trunk(p: Points, look: Appearance, worn: dict[str, np.ndarray]) -> list[Group]:
    """Neck and trunk, bare with the marks of chest and navel or in a top; nappy or trousers."""
    outfit, top, bottom = OUTFITS[look.outfit], p["spine_top"], p["spine_bottom"]
    groups = [_skin([capsule(top, p["neck"], 0.05, 0.05)], look)]
    if outfit["trunk"]:
        groups += [_cloth([shape], worn["top"], top, bottom, 0.5) for shape in _trunk_shapes(p, 1.05)]
    else:
        groups += [_skin([shape], look) for shape in _trunk_shapes(p, 1.0)]
        spots = [(p["navel"], 0.010), *((place, 0.009) for place in p["nipple"])]
        marks = tuple((place, place, radius, 0.75 * look.skin[1]) for place, radius in spots)
        groups[-1] = dataclasses.replace(groups[-1], marks=marks)
    if outfit["nappy"]:
        shapes = [capsule(*p["hip"], 0.074, 0.074), capsule(between(bottom, top, 0.12), bottom, 0.088, 0.085)]
        groups += [Group(shape[None], look.nappy, lift=1.5) for shape in shapes]
    elif look.bottom is not look.top:
        shapes = [capsule(*p["hip"], 0.070, 0.070), capsule(between(bottom, top, 0.25), bottom, 0.100, 0.088)]
        groups += [_cloth([shape], worn["bottom"], top, bottom, 1.0) for shape in shapes]
    return groups


def _limb(chain, radii, scene: Scene, look: Appearance, worn: dict[str, np.ndarray], kind: str) -> list[Group]:
    """An arm or a leg of two segments between three points [4], and what clothes it."""
    name, reach = ("top", look.sleeve) if kind == "arm" else ("bottom", look.trouser)
    radii = [r * scene.body.girth for r in radii]
    groups = []
    for k in (0, 1):
        start, end = chain[k], chain[k + 1]
        part = min(reach - k, 1.0)
        if part < 0.9:
            groups.append(_skin([capsule(start, end, radii[k], radii[k + 1])], look))
        if part > 0:
            cuff = radii[k] + part * (radii[k + 1] - radii[k])
            shape = capsule(start, between(start, end, part), radii[k] * CLOTH, cuff * CLOTH)
            groups.append(_cloth([shape], worn[name], start, end, 0.5))
        elif kind == "leg" and k == 1 and "socks" in worn:
            shape = capsule(between(start, end, 0.55), end, 0.036, radii[2] * CLOTH)
            groups.append(_cloth([shape], worn["socks"], start, end, 0.5))
    return groups


def _hand(wrist: np.ndarray, tip: np.ndarray, side: int, look: Appearance) -> Group:
    """Palm, four fingers whose middle one ends at the tip, and the thumb."""
    step, knuckles = across(wrist, tip), between(wrist, tip, 0.5)
    shapes = [capsule(wrist, knuckles, 0.023, 0.029)]
    for offset, reach in ((-0.022, 0.86), (0.0, 0.95), (0.021, 0.85), (0.036, 0.66)):
        start, end = knuckles + side * offset * 0.8 * step, between(wrist, tip, reach) + side * offset * step
        shapes.append(capsule(start, end, 0.0115, 0.0095))
    thumb = between(wrist, tip, 0.5) - side * 0.048 * step
    shapes.append(capsule(between(wrist, tip, 0.15), thumb, 0.015, 0.011))
    return _skin(shapes, look)


def _foot(ankle: np.ndarray, toe: np.ndarray, side: int, look: Appearance, worn: dict[str, np.ndarray]) -> Group:
    """Heel, sole and toes; the big toe, on the inner side, ends at the toe's point."""
    step = across(ankle, toe)
    ball = between(ankle, toe, 0.68) + side * 0.012 * step
    shapes = [capsule(ankle, ball, 0.029, 0.032), capsule(ball, between(ankle, toe, 0.90), 0.018, 0.0145)]
    for offset, reach in ((0.024, 0.90), (0.040, 0.82)):
        end = between(ankle, toe, reach) + side * offset * step
        shapes.append(capsule(ball, end, 0.014, 0.0105))
    if "socks" in worn:
        return _cloth(shapes, worn["socks"], ankle, toe, 0.5)
    return _skin(shapes, look)


def _face_places(body: bodies.Body, joints: Points, time: float) -> Points:
    """Points of the head and on its surface that are no keypoints."""
    angles, head, axes = body.angles(time), joints["head"], joints["head_frame"]
    eye = bodies.EYE_AT
    on_face = {
        "right_lids": ([-eye[0] - 0.15, -eye[0] + 0.13], eye[1]),
        "left_lids": ([eye[0] - 0.13, eye[0] + 0.15], eye[1]),
        "brows": ([-eye[0] - 0.14, -eye[0] + 0.10, eye[0] - 0.10, eye[0] + 0.14], eye[1] - 0.24),
        "nose": ([-0.05, 0.05, 0.0], 0.47),
        "mouth": ([-0.20, 0.20], 0.74),
        "cheeks": ([-0.62, 0.62], 0.52),
        "ears": ([-1.5, 1.5], 0.25),
    }
    flat = [np.broadcast_arrays(*at) for at in on_face.values()]
    surface = head + bodies.on_head(angles, *np.concatenate(flat, axis=1)) @ axes.T
    ends = np.cumsum([len(at[0]) for at in flat])
    places = dict(zip(on_face, np.split(surface, ends[:-1]), strict=True))
    forward = bodies.on_head(angles, 0.0, 0.0)
    chest, spine = joints["chest"], joints["spine_top"]
    sideways = np.array([[-1.0], [1.0]]) * (joints["shoulder"][1] - joints["shoulder"][0]) * 0.24
    return places | {
        "skull": head + axes @ np.array([0, -0.17, 0]),
        "jaw": head + axes @ np.array([0.25 * forward[0], 0.46, 0]),
        "back": head + axes @ np.array([-0.3 * forward[0], -0.32, -0.2]),
        "nipple": 0.75 * chest + 0.25 * spine + sideways + 0.12 * (joints["navel"] - chest),
    }


def _head(p: Points, look: Appearance, size: float) -> list[Group]:
    """Ears, hair that shows behind the forehead, skull and jaw with the face on them."""
    groups = [_skin([capsule(e, e, 0.022 * size, 0.022 * size)], look) for e in p["ears"]]
    if look.hair is not None:
        groups.append(Group(capsule(p["back"], p["back"], 0.101 * size, 0.101 * size)[None], look.hair))
    skull = capsule(p["skull"], p["jaw"], 0.099 * size, 0.066 * size)
    return [*groups, Group(skull[None], look.skin, marks=_face(p, look))]


def _face(p: Points, look: Appearance) -> tuple:
    """Marks of cheeks, nose, mouth, brows and eyes; later ones over earlier ones."""
    dark, lit = look.skin
    right, left, tip = p["nose"]
    marks = [(c, c, 0.024, lit * (1.0, 0.87, 0.86)) for c in p["cheeks"]]
    marks += [(tip, tip, 0.014, lit * 1.05), (right, right, 0.005, dark), (left, left, 0.005, dark)]
    marks.append((*p["mouth"], 0.009, 0.5 * lit * (1.1, 0.65, 0.65) + 0.5 * dark))
    for side, name in enumerate(("right_lids", "left_lids")):
        marks.append((p["brows"][2 * side], p["brows"][2 * side + 1], 0.005, 0.7 * dark + 0.3 * lit))
        if look.eyes_open:
            marks += [(*p[name], 0.013, WHITE), (p["eye"][side], p["eye"][side], 0.012, look.iris)]
        else:
            marks.append((*p[name], 0.004, 0.6 * dark))
    return tuple(marks)
