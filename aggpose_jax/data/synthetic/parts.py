"""What an infant is built of: groups of capsules from its projected joints. Radii are in statures."""

import numpy as np

from aggpose_jax.data.synthetic import body as bodies
from aggpose_jax.data.synthetic.appearance import OUTFITS, Appearance, Cloth
from aggpose_jax.data.synthetic.canvas import Group
from aggpose_jax.data.synthetic.scene import Camera, Scene
from aggpose_jax.data.synthetic.textures import TILE, frame

ARM_RADII = {"shoulder": 0.040, "elbow": 0.033, "wrist": 0.022}
LEG_RADII = {"hip": 0.060, "knee": 0.042, "ankle": 0.026}
CLOTH = 1.12  # a sleeve's radius over the limb's

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
    return np.array([*start[:3], start_radius * start[3], *end[:3], end_radius * end[3]])


def between(start: np.ndarray, end: np.ndarray, part: float) -> np.ndarray:
    """The point a part of the way from start to end."""
    return start + part * (end - start)


def across(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[4] step of one stature at right angles to start → end, to the right of the way on screen."""
    along = (end - start)[:2]
    unit = along / max(np.hypot(*along), 1e-6)
    return np.array([-unit[1], unit[0], 0, 0]) * start[3]


def infant(scene: Scene, look: Appearance, time: float) -> list[Group]:
    """All groups of the infant, in painting order."""
    joints = bodies.joints(scene.body, time)
    p = projected(scene.camera, joints | _face_places(scene.body, joints, time))
    groups = [_trunk(p, look), *_trunk_clothes(p, look)]
    groups += [_head(p, look, scene.body.head), _face(p, look)]
    for side in (0, 1):
        groups += _limb([p[n][side] for n in LEG_RADII], list(LEG_RADII.values()), scene, look, "leg")
        groups.append(_foot(p["ankle"][side], p["toe"][side], 1 - 2 * side, look))
        groups += _limb([p[n][side] for n in ARM_RADII], list(ARM_RADII.values()), scene, look, "arm")
        groups.append(_hand(p["wrist"][side], p["finger"][side], 1 - 2 * side, look))
    return groups


def face_window(scene: Scene, time: float) -> tuple[np.ndarray, float]:
    """The [2] centre and the half side, in pixels, of a square that holds the face."""
    place, scale = scene.camera.project(bodies.joints(scene.body, time)["head"])
    return place[:2], float(1.08 * bodies.HEAD_HEIGHT * scene.body.head * scale)


def _skin(shapes: list[np.ndarray], look: Appearance) -> Group:
    return Group(np.array(shapes), *look.skin)


def _cloth(shapes: list[np.ndarray], cloth: Cloth, start: np.ndarray, end: np.ndarray, lift: float) -> Group:
    """A group clothed in a tile that runs along start → end."""
    angle = np.arctan2(end[1] - start[1], end[0] - start[0])
    return Group(np.array(shapes), tile=cloth.tile, lift=lift,
                 frame=frame(angle, cloth.period * start[3] / TILE, start[0], start[1]))  # fmt: skip


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


def _trunk(p: Points, look: Appearance) -> Group:
    neck = capsule(p["spine_top"], p["neck"], 0.05, 0.05)
    return _skin([*_trunk_shapes(p, 1.0), neck], look)


def _trunk_clothes(p: Points, look: Appearance) -> list[Group]:
    """Nappy and top, or on bare skin the marks of chest and navel."""
    outfit, groups = OUTFITS[look.outfit], []
    top, bottom = p["spine_top"], p["spine_bottom"]
    if not outfit["trunk"]:
        marks = [capsule(p["navel"], p["navel"], 0.010, 0.010)]
        marks += [capsule(n, n, 0.009, 0.009) for n in p["nipple"]]
        groups.append(Group(np.array(marks), look.skin[0], 0.75 * look.skin[1], lift=4.0))
    if outfit["trunk"]:
        groups.append(_cloth(_trunk_shapes(p, 1.05), look.top, top, bottom, 0.5))
    if outfit["nappy"]:
        shapes = [capsule(*p["hip"], 0.074, 0.074), capsule(between(bottom, top, 0.12), bottom, 0.088, 0.085)]
        groups.append(Group(np.array(shapes), *look.nappy, lift=1.5))
    elif look.bottom is not look.top:
        shapes = [capsule(*p["hip"], 0.070, 0.070), capsule(between(bottom, top, 0.25), bottom, 0.100, 0.088)]
        groups.append(_cloth(shapes, look.bottom, top, bottom, 1.0))
    return groups


def _limb(chain: list[np.ndarray], radii: list[float], scene: Scene, look: Appearance, kind: str) -> list[Group]:
    """An arm or a leg of two segments, and what clothes it."""
    cloth, reach = (look.top, look.sleeve) if kind == "arm" else (look.bottom, look.trouser)
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
            groups.append(_cloth([shape], cloth, start, end, 0.5))
        elif kind == "leg" and k == 1 and look.socks is not None:
            shape = capsule(between(start, end, 0.55), end, 0.036, radii[2] * CLOTH)
            groups.append(_cloth([shape], look.socks, start, end, 0.5))
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


def _foot(ankle: np.ndarray, toe: np.ndarray, side: int, look: Appearance) -> Group:
    """Heel, sole and toes; the big toe, on the inner side, ends at the toe's point."""
    step = across(ankle, toe)
    ball = between(ankle, toe, 0.68) + side * 0.012 * step
    shapes = [capsule(ankle, ball, 0.029, 0.032), capsule(ball, between(ankle, toe, 0.90), 0.018, 0.0145)]
    for offset, reach in ((0.024, 0.90), (0.040, 0.82)):
        end = between(ankle, toe, reach) + side * offset * step
        shapes.append(capsule(ball, end, 0.014, 0.0105))
    if look.socks is not None:
        return _cloth(shapes, look.socks, ankle, toe, 0.5)
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
    places = {name: head + bodies.on_head(angles, *at) @ axes.T for name, at in on_face.items()}
    forward = bodies.on_head(angles, 0.0, 0.0)
    chest, spine = joints["chest"], joints["spine_top"]
    sideways = np.array([[-1.0], [1.0]]) * (joints["shoulder"][1] - joints["shoulder"][0]) * 0.24
    return places | {
        "skull": head + axes @ np.array([0, -0.17, 0]),
        "jaw": head + axes @ np.array([0.25 * forward[0], 0.46, 0]),
        "back": head + axes @ np.array([-0.3 * forward[0], -0.32, -0.2]),
        "nipple": 0.75 * chest + 0.25 * spine + sideways + 0.12 * (joints["navel"] - chest),
    }


def _head(p: Points, look: Appearance, size: float) -> Group:
    """Skull, jaw, ears, and hair that shows behind the forehead."""
    shapes = [capsule(p["skull"], p["jaw"], 0.099 * size, 0.066 * size)]
    shapes += [capsule(e, e, 0.022 * size, 0.022 * size) for e in p["ears"]]
    colours = np.repeat(look.skin[:, None], 3, axis=1)
    if look.hair is not None:
        shapes.append(capsule(p["back"], p["back"], 0.101 * size, 0.101 * size))
        colours = np.concatenate([colours, look.hair[:, None]], axis=1)
    return Group(np.array(shapes), colours[0], colours[1])


def _face(p: Points, look: Appearance) -> Group:
    """Eyes, brows, nose, mouth and cheeks, painted on the head."""
    dark, lit = look.skin
    lids = [capsule(*p[name], 0.013, 0.013) for name in ("right_lids", "left_lids")]
    eyes = [capsule(e, e, 0.012, 0.012) for e in p["eye"]]
    white, lash = np.array([235.0, 232, 228]), 0.35 * dark
    shapes = [capsule(p["cheeks"][k], p["cheeks"][k], 0.024, 0.024) for k in (0, 1)]
    colours = [0.3 * lit + 0.7 * lit * (1.0, 0.82, 0.80)] * 2
    shapes += [capsule(p["nose"][2], p["nose"][2], 0.014, 0.014), *(capsule(n, n, 0.005, 0.005) for n in p["nose"][:2])]
    colours += [lit * 1.03, 0.8 * dark, 0.8 * dark]
    shapes.append(capsule(*p["mouth"], 0.009, 0.009))
    colours.append(0.5 * lit * (1.1, 0.65, 0.65) + 0.5 * dark)
    shapes += [capsule(p["brows"][k], p["brows"][k + 1], 0.005, 0.005) for k in (0, 2)]
    colours += [0.7 * dark + 0.3 * lit] * 2
    shapes += lids if look.eyes_open else [capsule(*p[n], 0.006, 0.006) for n in ("right_lids", "left_lids")]
    colours += [white if look.eyes_open else lash] * 2
    if look.eyes_open:
        shapes += eyes
        colours += [look.iris] * 2
    shapes, colours = np.array(shapes), np.array(colours)
    shapes[:, [2, 6]] += 0.5 * np.arange(len(shapes))[:, None]  # later features lie over earlier ones
    return Group(shapes, 0.6 * colours, colours, lift=3.0)
