"""Tests of the geometry (sides, proportions, occlusion and movement) without rendering."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement, body, scene
from aggpose_jax.data.synthetic.ranges import TEST, TRAIN

INFANT = body.sample_body(np.random.default_rng(5), TRAIN)


def project_upright(infant: body.Body) -> np.ndarray:
    """Returns the keypoints [21, 2] in pixels of an infant under a camera without roll or tilt."""
    camera = scene.Camera(0.0, 150.0, np.array([160.0, 120.0]), np.zeros(2), 5.0)
    points, _ = camera.project(body.keypoints(body.joints(infant, 0.0)))
    return points[:, :2]


def test_the_right_side_of_the_infant_is_on_the_left_of_the_image():
    still = dataclasses.replace(INFANT, base=np.zeros(body.ANGLES), amplitude=np.zeros((3, body.ANGLES)))
    points = project_upright(still)
    assert (points[:9, 0] < 160).all()
    assert (points[9:18, 0] > 160).all()
    eye, shoulder, elbow, wrist, finger, hip, knee, ankle, toe = points[:9, 1]
    chin, chest, navel = points[18:, 1]
    assert eye < chin < chest < navel < hip < knee < ankle < toe
    assert shoulder < elbow < wrist < finger


def test_a_raised_hand_is_beside_the_head():
    base = np.zeros(body.ANGLES)
    base[len(body.TRUNK)] = np.pi * 0.9  # the right arm's abduction
    points = project_upright(dataclasses.replace(INFANT, base=base, amplitude=np.zeros((3, body.ANGLES))))
    assert points[4, 1] < points[0, 1]  # the right finger is above the right eye
    assert points[13, 1] > points[19, 1]  # the left finger is below the chest


def test_limbs_spread_outwards():
    base = np.zeros(body.ANGLES)
    base[[6, 11, 16, 22]] = np.pi / 2  # abduction of both arms, spread of both legs
    points = project_upright(dataclasses.replace(INFANT, base=base, amplitude=np.zeros((3, body.ANGLES))))
    assert (np.diff(points[1:5, 0]) < -5).all()
    assert (np.diff(points[5:9, 0]) < -5).all()
    assert (np.diff(points[10:14, 0]) > 5).all()
    assert (np.diff(points[14:18, 0]) > 5).all()


@pytest.mark.parametrize("ranges", [TRAIN, TEST])
def test_bone_lengths_are_constant_over_time(ranges):
    infant = body.sample_body(np.random.default_rng(1), ranges)
    points = np.stack([body.keypoints(body.joints(infant, t)) for t in (0, 0.7, 3.1)])
    lengths = np.linalg.norm(np.diff(points[:, :9], axis=1), axis=-1)
    arm, leg = infant.arm, infant.leg
    expected = [0.15 * arm, 0.135 * arm, 0.088 * arm, 0.175 * leg, 0.165 * leg, 0.105 * leg]
    np.testing.assert_allclose(lengths[:, [1, 2, 3, 5, 6, 7]], [expected] * 3, rtol=1e-6)


def test_roll_rotates_clockwise_and_nearer_points_have_a_larger_scale():
    camera = scene.Camera(np.pi / 2, 100.0, np.array([50.0, 60.0]), np.zeros(2), 4.0)
    points, scale = camera.project(np.array([[0.1, 0.0, 0.0], [0.1, 0.0, 2.0]]))
    np.testing.assert_allclose(points, [[50, 70, 0], [50, 80, 400]], atol=1e-9)
    np.testing.assert_allclose(scale, [100, 200])


def test_occluders_cover_capsules_and_half_planes():
    toy = scene.Occluder("toy", np.array([[10.0, 10, 2, 20, 10, 4]]), np.zeros(3))
    np.testing.assert_array_equal(toy.covers(np.array([[7.9, 10], [8.1, 10], [15, 12.9], [15, 13.1]])), [0, 1, 1, 0])
    blanket = scene.Occluder("blanket", np.zeros((0, 6)), np.array([0.0, 1, -100]))
    np.testing.assert_array_equal(blanket.covers(np.array([[0.0, 99], [0, 101]])), [False, True])


def test_few_keypoints_are_occluded_or_outside_the_frame():
    truth = SyntheticInfants(400, split="test").ground_truth()
    visibility = np.array([a["keypoints"][2::3] for a in truth["annotations"]])
    assert 0.1 < (visibility == 1).any(axis=1).mean() < 0.25
    assert (visibility == 1).mean() < 0.04
    assert (visibility == 0).mean() < 0.01


def test_infants_fill_a_large_part_of_the_frame():
    truth = SyntheticInfants(300).ground_truth()
    heights = np.array([a["bbox"][3] for a in truth["annotations"]])
    assert np.percentile(heights, 5) > 0.4 * 240
    assert heights.max() <= 239


def test_movement_is_smooth_and_large_enough():
    source = SyntheticMovement(6, 60)
    annotations = [annotation for video in range(6) for annotation in source.ground_truth(video)["annotations"]]
    points = np.array([a["keypoints"] for a in annotations]).reshape(6, 60, 21, 3)
    steps = np.linalg.norm(np.diff(points[..., :2], axis=1), axis=-1)
    steps = np.where((points[:, 1:, :, 2] > 0) & (points[:, :-1, :, 2] > 0), steps, 0)
    assert steps.max() < 4
    travelled = np.ptp(points[:, :, [4, 8, 13, 17], :2], axis=1).max(axis=-1)
    assert np.median(travelled) > 5


def test_predicting_the_mean_pose_scores_near_zero():
    def normalise(truth):
        points = np.array([a["keypoints"] for a in truth["annotations"]]).reshape(-1, 21, 3)
        boxes = np.array([a["bbox"] for a in truth["annotations"]])
        return (points[..., :2] - boxes[:, None, :2]) / boxes[:, None, 2:], points[..., 2] > 0, boxes

    positions, labelled, _ = normalise(SyntheticInfants(500).ground_truth())
    mean = positions[labelled.all(axis=1)].mean(axis=0)
    positions, labelled, boxes = normalise(SyntheticInfants(200, split="test").ground_truth())
    squared = (((positions - mean) * boxes[:, None, 2:]) ** 2).sum(axis=-1)
    area = 0.53 * boxes[:, 2] * boxes[:, 3]
    similarity = np.exp(-squared / (2 * area[:, None] * 0.1**2))
    oks = (similarity * labelled).sum(axis=1) / labelled.sum(axis=1)
    assert np.mean([oks > threshold for threshold in np.arange(0.5, 1, 0.05)]) < 0.05
