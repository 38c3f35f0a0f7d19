"""Tests of joint angles, rotations of bones and skinning."""

import cv2
import numpy as np
import pytest

from aggpose_jax.data.synthetic.mesh import load_mesh, make_shape
from aggpose_jax.data.synthetic.skeleton import ANGLES, bone_positions, bone_rotations, rotation, skin

MEAN = {name: 1 / 6 for name in load_mesh().targets if name != "adult"}
SHAPE = make_shape(MEAN, {})


def pose(**angles: float) -> dict[str, np.ndarray]:
    """Returns the points of a body with the given joint angles by name."""
    vector = np.array([angles.get(name, 0.0) for name in ANGLES])
    rotations = bone_rotations(SHAPE, vector)
    _, points = skin(SHAPE, rotations, bone_positions(SHAPE, rotations))
    return dict(zip(load_mesh().points, points.astype(float), strict=True))


def direction(points: dict, start: str, end: str) -> np.ndarray:
    along = points[end] - points[start]
    return along / np.linalg.norm(along)


def test_rotation_is_that_of_opencv():
    rng = np.random.default_rng(0)
    axes, angles = rng.standard_normal((5, 3)), rng.uniform(-3, 3, 5)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    expected = [cv2.Rodrigues(axis * angle)[0] for axis, angle in zip(axes, angles, strict=True)]
    np.testing.assert_allclose(rotation(axes, angles), expected, atol=1e-12)


def test_without_angles_arms_and_legs_are_straight_along_the_trunk():
    points = pose()
    for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
        for side in ("left", "right"):
            np.testing.assert_allclose(direction(points, f"{side}_{start}", f"{side}_{end}"), [0, -1, 0], atol=0.03)


@pytest.mark.parametrize(
    ("angles", "segment", "expected"),
    [
        ({"left_arm_spread": np.pi / 2}, ("left_shoulder", "left_elbow"), (1, 0, 0)),
        ({"right_arm_spread": np.pi / 2}, ("right_shoulder", "right_elbow"), (-1, 0, 0)),
        ({"left_arm_lift": np.pi / 2}, ("left_shoulder", "left_elbow"), (0, 0, 1)),
        # An arm stretched to the side whose elbow is bent points to the front, or, turned outwards, to the head.
        ({"left_arm_spread": np.pi / 2, "left_arm_flex": np.pi / 2}, ("left_elbow", "left_wrist"), (0, 0, 1)),
        (
            {"left_arm_spread": np.pi / 2, "left_arm_flex": np.pi / 2, "left_arm_turn": np.pi / 2},
            ("left_elbow", "left_wrist"), (0, 1, 0),
        ),
        ({"right_leg_lift": np.pi / 2}, ("right_hip", "right_knee"), (0, 0, 1)),
        # With hip and knee bent, the shin lies horizontally above the bed and points to the feet.
        ({"right_leg_lift": np.pi / 2, "right_leg_flex": np.pi / 2}, ("right_knee", "right_ankle"), (0, -1, 0)),
        # Turned outwards, a bent leg that is spread brings the shin inwards, as in a frog.
        (
            {"left_leg_spread": np.pi / 2, "left_leg_flex": np.pi / 2, "left_leg_turn": np.pi / 2},
            ("left_knee", "left_ankle"), (0, -1, 0),
        ),
        ({"head_yaw": np.pi / 2}, ("left_eye", "right_eye"), (0, 0, 1)),
    ],
)  # fmt: skip
def test_angles_turn_limbs_as_named(angles, segment, expected):
    np.testing.assert_allclose(direction(pose(**angles), *segment), expected, atol=0.12)


def test_fingers_bend_towards_the_palm_on_both_sides():
    straight, bent = pose(), pose(left_arm_curl=1.0, right_arm_curl=1.0)
    for side in ("left", "right"):
        reach = [np.linalg.norm(p[f"{side}_middle_finger"] - p[f"{side}_wrist"]) for p in (straight, bent)]
        assert reach[1] < 0.85 * reach[0]
    mirrored = bent["left_middle_finger"] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, bent["right_middle_finger"], atol=0.003)


def test_bones_keep_their_lengths():
    rng, mesh = np.random.default_rng(1), load_mesh()
    shape = make_shape(MEAN, {"thigh": 1.2})
    rotations = bone_rotations(shape, rng.normal(0, 0.8, len(ANGLES)))
    positions = bone_positions(shape, rotations)
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(3), (len(rotations), 1, 1)), atol=1e-9
    )
    for bone in range(1, len(positions)):
        parent = mesh.parents[bone]
        rest = np.linalg.norm(shape.joints[bone] - shape.joints[parent])
        factor = 1.2 if mesh.bones[parent].endswith("thigh") else 1.0
        assert np.linalg.norm(positions[bone] - positions[parent]) == pytest.approx(factor * rest, abs=1e-6)


def test_without_rotations_skinning_gives_the_rest_pose():
    rotations = np.tile(np.eye(3), (len(SHAPE.joints), 1, 1))
    vertices, _ = skin(SHAPE, rotations, bone_positions(SHAPE, rotations))
    np.testing.assert_allclose(vertices, SHAPE.vertices - SHAPE.joints[0], atol=1e-6)
