"""Tests of OKS, OKS-NMS, COCO metrics, matching and PCK."""

import json
import pathlib

import numpy as np
import pytest

from aggpose_jax.pose import metrics
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def reference() -> dict:
    with np.load(REFERENCE / "pipeline_coco_mini.npz") as arrays:
        return dict(arrays)


def person(keypoints: np.ndarray, annotation_id: int = 0, image_id: int = 1, area: float = 5000.0, **more) -> dict:
    """Returns an annotation; 0 is a valid annotation id."""
    flat = np.asarray(keypoints, float).ravel().tolist()
    box = {"bbox": [0, 0, 100, 100], "area": area, "iscrowd": 0}
    return {"id": annotation_id, "image_id": image_id, "category_id": 1, "keypoints": flat, **box, **more}


def make_ground_truth(*annotations: dict) -> dict:
    images = [{"id": i, "height": 100, "width": 100} for i in sorted({a["image_id"] for a in annotations})]
    return {"images": images, "annotations": list(annotations)}


@pytest.fixture
def pose() -> np.ndarray:
    """Returns keypoints [21, 3] on a grid, all labelled."""
    index = np.arange(21)
    return np.stack([10 + 5 * (index % 5), 20 + 7 * (index // 5), np.full(21, 2)], -1).astype(float)


def shifted(pose: np.ndarray, distance: float) -> np.ndarray:
    return pose + np.array([distance, 0, 0])


def test_similarity_is_exp_of_the_scaled_squared_distance():
    # d² = 2 · area · (2σ)² gives exp(-1); with an area of 100 and σ of 0.05 this is d = √2.
    similar = metrics.similarity([[3.0, 4.0], [0.0, 0.0]], [[4.0, 5.0], [0.0, 0.0]], 100.0, [0.05, 0.05])
    np.testing.assert_allclose(similar, [np.exp(-1), 1.0])


def test_oks_uses_the_mean_of_both_areas():
    origin = np.zeros((2, 3))
    others = np.array([[[np.sqrt(2), 0, 1], [0, 0, 1]], [[0, 0, 1], [0, 2, 1]]])
    # The mean areas are 100 and 200, so d² / (2 · area · 0.01) is 1 in both cases, for d² of 2 and 4.
    values = metrics.oks(origin, others, 100.0, np.array([100.0, 300.0]), [0.05, 0.05])
    np.testing.assert_allclose(values, (1 + np.exp(-1)) / 2)


def test_nms_keeps_the_best_of_similar_poses(pose):
    poses = np.stack([pose, shifted(pose, 50), shifted(pose, 0.1), shifted(pose, 50.1)])
    kept = metrics.oks_nms(poses, [0.5, 0.8, 0.9, 0.7], np.full(4, 5000.0), INFANT_21.sigmas)
    assert kept.tolist() == [1, 2]


def test_nms_removes_only_poses_similar_to_a_kept_pose(pose):
    # The second pose is similar to the first; the third is similar to the second only. The second pose is removed, and
    # must not cause the third to be removed.
    poses = np.stack([pose, shifted(pose, 8), shifted(pose, 16)])
    areas = np.full(3, 5000.0)
    near = metrics.oks(poses[0], poses[1:], 5000.0, areas[1:], INFANT_21.sigmas)
    assert near[0] > 0.5 > near[1]
    assert metrics.oks_nms(poses, [3, 2, 1], areas, INFANT_21.sigmas, threshold=0.5).tolist() == [0, 2]


def test_soft_nms_lowers_scores_in_order():
    # One keypoint, 2 · area · (2σ)² = 2: poses at 0, 2 and 3 have OKS exp(-4 / 2), exp(-9 / 2) and exp(-1 / 2).
    poses = np.array([[[0, 0, 1]], [[2, 0, 1]], [[3, 0, 1]]], float)
    near, far, middle = np.exp(-0.5), np.exp(-4.5), np.exp(-2)
    # The second pose has the highest score. It lowers the third below the first, which then lowers the third once more.
    scores = metrics.soft_oks_nms(poses, [0.6, 0.9, 0.7], np.full(3, 100.0), [0.05], threshold=0.5)
    first = 0.6 * np.exp(-(middle**2) / 0.5)
    third = 0.7 * np.exp(-(near**2) / 0.5)
    assert third < first
    np.testing.assert_allclose(scores, [first, 0.9, third * np.exp(-(far**2) / 0.5)])


def test_soft_nms_uses_the_mean_of_both_areas():
    poses = np.array([[[0, 0, 1]], [[2, 0, 1]]], float)
    scores = metrics.soft_oks_nms(poses, [2, 1], np.array([100.0, 300.0]), [0.05], threshold=1.0)
    np.testing.assert_allclose(scores, [2, np.exp(-(np.exp(-1) ** 2))])  # d² / (2 · 200 · 0.01) is 1


def test_nms_of_no_poses():
    assert metrics.oks_nms(np.zeros((0, 17, 3)), [], [], COCO_17.sigmas).tolist() == []
    assert metrics.soft_oks_nms(np.zeros((0, 17, 3)), [], [], COCO_17.sigmas).tolist() == []


def test_instance_scores_average_the_keypoints_above_the_threshold():
    scores = metrics.instance_scores([[0.4, 0.8, 0.1], [0.2, 0.1, 0.0], [0.3, 0.2, 0.2]], [0.5, 1.0, 1.0])
    np.testing.assert_allclose(scores, [0.3, 0.0, 0.3])


def test_nms_equals_the_reference(reference):
    kept = []
    for image_id in np.unique(reference["pred_image_id"]):
        rows = np.flatnonzero(reference["pred_image_id"] == image_id)
        areas = np.prod(200 * reference["pred_scale"][rows], axis=-1)
        keypoints, scores = reference["pred_keypoints"][rows], reference["pred_score"][rows]
        kept += rows[metrics.oks_nms(keypoints, scores, areas, COCO_17.sigmas)].tolist()
    assert sorted(kept) == reference["nms_keep"].tolist()


def test_instance_scores_equal_the_reference(reference):
    scores = metrics.instance_scores(reference["pred_keypoints"][..., 2], reference["pred_box_score"])
    np.testing.assert_allclose(scores, reference["pred_score"], rtol=1e-6)


def test_coco_metrics_equal_the_reference(reference, test_data, capsys):
    path = test_data / "coco_mini/annotations/person_keypoints_val2017.json"
    ground_truth, untouched = json.loads(path.read_text()), json.loads(path.read_text())
    rows = reference["nms_keep"]
    results = metrics.coco_results(*(reference[f"pred_{name}"][rows] for name in ("image_id", "keypoints", "score")))
    results_before = json.dumps(results)
    scores = metrics.coco_ap(ground_truth, results, COCO_17)
    assert tuple(scores) == ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
    np.testing.assert_allclose(list(scores.values()), reference["coco_stats"], atol=1e-6)
    assert capsys.readouterr() == ("", "")
    assert ground_truth == untouched
    assert json.dumps(results) == results_before


def test_a_perfect_detection_of_annotation_id_0_has_an_ap_of_1(pose):
    results = metrics.coco_results([1], pose[None], [1.0])
    scores = metrics.coco_ap(make_ground_truth(person(pose)), results, INFANT_21)
    assert (scores["AP"], scores["AR"], scores["APM"]) == pytest.approx((1, 1, 1))
    assert scores["APL"] == scores["ARL"] == -1


@pytest.mark.parametrize(("value", "passed", "at_75"), [(0.72, 0.5, 0), (0.77, 0.6, 1)])
def test_coco_metrics_use_the_sigmas_of_the_keypoint_set(pose, value, passed, at_75):
    # OKS = exp(-d² / (2 · 5000 · 0.01)); thresholds are 0.50, 0.55 … 0.95.
    distance = np.sqrt(-100 * np.log(value))
    results = metrics.coco_results([1], shifted(pose[None], distance), [1.0])
    scores = metrics.coco_ap(make_ground_truth(person(pose)), results, INFANT_21)
    assert scores["AP"] == pytest.approx(passed)
    assert (scores["AP50"], scores["AP75"], scores["AR50"], scores["AR75"]) == pytest.approx((1, at_75, 1, at_75))


def test_metrics_without_detections_are_0(pose):
    scores = metrics.coco_ap(make_ground_truth(person(pose)), [], INFANT_21)
    assert scores["AP"] == scores["AP50"] == scores["AR"] == scores["ARM"] == 0


def test_only_the_highest_scoring_detections_of_an_image_are_evaluated(pose):
    results = metrics.coco_results([1, 1], np.stack([shifted(pose, 500), pose]), [0.9, 0.8])
    truth = make_ground_truth(person(pose))
    assert metrics.coco_ap(truth, results, INFANT_21, max_detections=1)["AR"] == 0
    assert metrics.coco_ap(truth, results, INFANT_21, max_detections=2)["AR"] == pytest.approx(1)


def test_each_person_is_matched_with_its_best_detection(pose):
    half = pose.copy()
    half[10:, 2] = 0
    unlabelled = pose * [1, 1, 0]
    truth = make_ground_truth(
        person(half, 3), person(shifted(pose, 40), 4), person(pose, 5, image_id=2),
        person(unlabelled, 6), person(pose, 7, iscrowd=1),
    )  # fmt: skip
    wrong_where_unlabelled = pose.copy()
    wrong_where_unlabelled[10:, 0] += 1000
    results = metrics.coco_results([1, 1], np.stack([shifted(pose, 39), wrong_where_unlabelled]), [0.1, 0.2])
    matches = metrics.match_oks(truth, results, INFANT_21)
    assert matches.ids.tolist() == [3, 4, 5]
    np.testing.assert_allclose(matches.oks, [1, np.exp(-1 / 100), 0])
    np.testing.assert_allclose(matches.predicted[0], wrong_where_unlabelled)
    np.testing.assert_allclose(matches.predicted[1], shifted(pose, 39))
    assert np.isnan(matches.predicted[2]).all()
    by_keypoint = metrics.keypoint_oks(matches, INFANT_21)
    np.testing.assert_allclose(by_keypoint[:10], (1 + np.exp(-1 / 100) + 0) / 3)
    np.testing.assert_allclose(by_keypoint[10:], (np.exp(-1 / 100) + 0) / 2)


def test_persons_without_detections_have_an_oks_of_0(pose):
    matches = metrics.match_oks(make_ground_truth(person(pose)), [], INFANT_21)
    assert matches.oks.tolist() == [0]


def test_a_keypoint_of_zeros_was_not_found_even_where_the_truth_is_in_the_corner(pose):
    truth_pose, found = pose.copy(), pose.copy()
    truth_pose[3], found[3] = (1, 0, 2), (0, 0, 0)
    truth = make_ground_truth(person(truth_pose))
    matches = metrics.match_oks(truth, metrics.coco_results([1], found[None], [0.5]), INFANT_21)
    assert np.isnan(matches.predicted[0, 3]).all()
    assert metrics.keypoint_oks(matches, INFANT_21)[3] == 0
    np.testing.assert_allclose(matches.oks, 20 / 21)
    assert metrics.pck(matches.predicted, matches.truth, [100], 0.1)[0][3] == 0
    found[3] = 0, 0, 0.5  # This point was found.
    matches = metrics.match_oks(truth, metrics.coco_results([1], found[None], [0.5]), INFANT_21)
    assert matches.oks > 0.99


def test_oks_percentiles():
    assert metrics.oks_percentiles(np.linspace(0, 1, 11), (10, 50)) == pytest.approx({"OKS_p10": 0.1, "OKS_p50": 0.5})
    assert np.isnan(metrics.oks_percentiles(np.zeros(0), (50,))["OKS_p50"])


@pytest.mark.parametrize("keypoint_set", [COCO_17, INFANT_21], ids=lambda s: s.name)
def test_torso_length(keypoint_set):
    index = keypoint_set.names.index
    keypoints = np.zeros((2, len(keypoint_set), 3))
    for name, point in {
        "left_shoulder": (10, 0), "right_shoulder": (20, 0), "left_hip": (40, 39), "right_hip": (50, 41),
    }.items():  # fmt: skip
        keypoints[:, index(name)] = *point, 1
    keypoints[1, index("left_hip"), 2] = 0
    np.testing.assert_allclose(metrics.torso_length(keypoints, keypoint_set), [50, np.nan])


def test_torso_length_is_nan_for_a_keypoint_set_without_a_torso():
    face = type(COCO_17)("face", ("nose",), (), (), (0.1,), (0,))
    assert np.isnan(metrics.torso_length(np.ones((3, 1, 3)), face)).tolist() == [True] * 3


def test_pck_overall_and_per_keypoint():
    truth = np.array([[[0, 0, 2], [100, 0, 1]], [[0, 0, 2], [5, 5, 0]], [[0, 0, 2], [0, 0, 2]]], float)
    predicted = np.array([[[10, 0], [100, 11]], [[0, 21], [5, 5]], [[0, 0], [0, 0]]], float)
    per_keypoint, overall = metrics.pck(predicted, truth, [50.0, 100.0, np.nan], 0.2)
    # The thresholds are 10 and 20 pixels. Person 1: correct (exactly 10), wrong. Person 2: wrong, unlabelled. Person 3
    # has no torso length.
    assert per_keypoint.tolist() == [0.5, 0.0]
    assert overall == pytest.approx(1 / 3)


def test_pck_of_unlabelled_keypoints_and_missing_detections():
    truth = np.array([[[0, 0, 1], [1, 1, 0]]], float)
    per_keypoint, overall = metrics.pck(np.full((1, 2, 2), np.nan), truth, [10.0], 0.2)
    np.testing.assert_array_equal(per_keypoint, [0, np.nan])
    assert overall == 0
