"""Tests of the evaluation: from estimated keypoints to metrics."""

import numpy as np
import pytest

from aggpose_jax.estimation import evaluation
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet

TORSO = KeypointSet(
    "torso", ("left_shoulder", "right_shoulder", "left_hip", "right_hip"), ((0, 1), (2, 3)), (), (0.05,) * 4, (0, 1)
)
POSE = np.array([[30, 10, 2], [10, 10, 2], [30, 50, 2], [10, 50, 1]], np.float64)  # the torso is 40 pixels long


def person(number: int, image_id: int, shift: float) -> dict:
    pose = POSE + np.array([shift, 0, 0])
    box = [10 + shift, 10, 20, 40]
    values = {"bbox": box, "area": 6400.0, "keypoints": pose.ravel().tolist()}
    return {"id": number, "image_id": image_id, "iscrowd": 0, **values}


def ground_truth() -> dict:
    """Returns COCO annotations of two persons in image 4 and one in image 9."""
    persons = [person(1, 4, 0), person(2, 4, 200), person(3, 9, 50)]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 300, "width": 300} for i in (4, 9)]
    return {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}


def batch_of(*rows: tuple[int, float, float, float]) -> dict:
    """Returns a batch whose "pose" holds the estimated keypoints.

    Args:
      rows: image id, shift of the estimated pose in x, box score and validity of each crop.
    """
    image_id, shift, score, valid = np.array(rows, np.float64).T
    pose = np.tile(POSE, (len(rows), 1, 1))
    pose[..., 0] += shift[:, None]
    pose[..., 2] = 0.8
    return {
        "image_id": image_id.astype(np.int64),
        "crop_area": np.full(len(rows), 10000, np.float32),
        "score": score.astype(np.float32),
        "reoriented": np.zeros(len(valid), np.float32),
        "valid": valid.astype(np.float32),
        "pose": pose,
    }


def evaluate(*batches, nms_threshold=None, soft_nms=False) -> evaluation.Evaluation:
    return evaluation.evaluate(lambda batch: batch["pose"], batches, ground_truth(), TORSO, nms_threshold, soft_nms)


def test_images_that_were_rotated_are_counted_once():
    batch = batch_of((4, 0, 1, 1), (4, 200, 1, 1), (9, 0, 1, 0))
    assert evaluate(batch).reoriented == 0
    assert evaluate(batch | {"reoriented": np.ones(3, np.float32)}).reoriented == 1  # that of image 9 is padding


def test_perfect_estimates_have_perfect_metrics():
    result = evaluate(batch_of((4, 0, 1, 1), (4, 200, 1, 1)), batch_of((9, 50, 0.5, 1), (9, 0, 1, 0)))
    metrics = result.metrics
    assert all(metrics[name] == pytest.approx(1) for name in ("AP", "AP50", "AP75", "APM", "AR", "ARM", "OKS_p5"))
    assert metrics["APL"] == -1  # no person is that large
    assert metrics["PCK@0.1"] == metrics["PCK@0.2"] == 1
    assert result.keypoints.keys() == set(TORSO.names)
    assert result.keypoints["left_hip"] == pytest.approx({"OKS": 1, "PCK@0.1": 1, "PCK@0.2": 1})
    assert [r["image_id"] for r in result.results] == [4, 4, 9]
    assert [r["score"] for r in result.results] == pytest.approx([0.8, 0.8, 0.4])  # box × keypoints
    np.testing.assert_allclose(np.reshape(result.results[2]["keypoints"], (4, 3))[:, :2], POSE[:, :2] + [50, 0])


def test_padding_rows_of_a_batch_are_ignored():
    rows = [(4, 0, 1, 1), (4, 200, 1, 1), (9, 50, 1, 1)]
    plain = evaluate(batch_of(*rows))
    padded = evaluate(batch_of(*rows, (9, 120, 9, 0), (9, 130, 9, 0)))
    assert padded.metrics == plain.metrics
    assert padded.results == plain.results
    assert evaluate(batch_of(*rows, (9, 120, 9, 1))).metrics["AP"] < 1  # the same row, but valid


def test_pck_and_oks_match_values_computed_by_hand():
    # The keypoints in image 9 are 6 pixels off: within 0.2 × 40 pixels of the ground truth, but not within 0.1 × 40.
    result = evaluate(batch_of((4, 0, 1, 1), (4, 200, 1, 1), (9, 56, 1, 1)))
    assert result.metrics["PCK@0.1"] == pytest.approx(2 / 3)
    assert result.metrics["PCK@0.2"] == 1
    similarity = np.exp(-(6**2) / (2 * 6400 * 0.1**2))
    assert result.keypoints["right_hip"]["OKS"] == pytest.approx((2 + similarity) / 3)


def test_nms_removes_a_pose_similar_to_a_better_one_in_the_same_image():
    rows = [(9, 50.5, 0.5, 1), (4, 0, 1, 1), (4, 200, 1, 1), (9, 50, 1, 1), (4, 50, 0.1, 1)]
    every = evaluate(batch_of(*rows)).results
    remaining = evaluate(batch_of(*rows), nms_threshold=0.9).results
    assert len(every) == 5
    assert remaining == every[1:]  # in the same order, and with a similar pose in another image


def test_soft_nms_lowers_the_score_of_a_pose_similar_to_a_better_one_in_the_same_image():
    rows = [(9, 50, 0.5, 1), (4, 0, 1, 1), (4, 200, 0.9, 1), (9, 50, 1, 1), (4, 50, 0.1, 1)]
    every = evaluate(batch_of(*rows)).results
    soft = evaluate(batch_of(*rows), nms_threshold=0.9, soft_nms=True).results
    assert [r["keypoints"] for r in soft] == [r["keypoints"] for r in every]
    scores = np.array([[r["score"] for r in results] for results in (every, soft)])
    # The first pose equals the fourth (OKS 1). The poses in image 4 are so far apart that their scores do not change.
    np.testing.assert_allclose(scores[1], scores[0] * [np.exp(-1 / 0.9), 1, 1, 1, 1], rtol=1e-5)


def test_nms_uses_the_area_of_the_crop():
    batch = batch_of((9, 50, 1, 1), (9, 80, 0.5, 1), (4, 0, 1, 1), (4, 200, 1, 1))
    assert len(evaluate(batch, nms_threshold=0.9).results) == 4
    batch["crop_area"][:] = 1e6  # 30 pixels are little in so large a crop: OKS is exp(-900 / (2 · 1e6 · 0.01)) = 0.96
    assert len(evaluate(batch, nms_threshold=0.9).results) == 3


def test_score_accepts_results_from_other_sources():
    results = evaluate(batch_of((4, 0, 1, 1), (4, 200, 1, 1))).results
    scored = evaluation.score(results, ground_truth(), TORSO)
    assert scored.metrics["AR"] == pytest.approx(2 / 3)
    assert scored.results == results


def test_empty_results_score_zero():
    scored = evaluation.score([], ground_truth(), TORSO)
    assert scored.metrics["AP"] == scored.metrics["AR"] == scored.metrics["PCK@0.2"] == 0


def test_keypoints_that_openpose_has_are_evaluated_apart():
    set_ = KeypointSet("six", (*TORSO.names, "navel", "chin"), TORSO.flip_pairs, (), (0.05,) * 6, (0, 1))
    truth = ground_truth()
    for annotation in truth["annotations"]:
        annotation["keypoints"] += [20, 30, 2, 20, 0, 2]
    results = [
        {"image_id": a["image_id"], "category_id": 1, "score": 1.0, "keypoints": a["keypoints"][:12] + [0] * 6}
        for a in truth["annotations"]
    ]
    both = evaluation.with_openpose(evaluation.score(results, truth, set_), truth, set_)
    assert both.metrics["OKS_p50"] == pytest.approx(4 / 6)
    assert both.openpose.keypoints == TORSO.names
    exact = evaluate(batch_of((4, 0, 1, 1), (4, 200, 1, 1), (9, 50, 1, 1)))
    assert both.openpose.metrics == exact.metrics


@pytest.mark.parametrize("names", [TORSO.names, ("navel", "chin", "left_ring_finger", "hair")])
def test_nothing_is_evaluated_apart_if_openpose_has_all_keypoints_or_none(names):
    set_ = KeypointSet("all or none", names, (), (), (0.05,) * 4, ())
    scored = evaluation.score([], ground_truth(), set_)
    assert evaluation.with_openpose(scored, ground_truth(), set_) is scored


def test_annotations_do_not_need_iscrowd():
    truth = ground_truth()
    for annotation in truth["annotations"]:
        del annotation["iscrowd"]
    assert evaluation.score([], truth, TORSO).metrics["AP"] == 0


def test_mean_pose_matches_values_computed_by_hand():
    keypoints = np.zeros((2, 21, 3))
    keypoints[0, 0], keypoints[1, 0] = (110, 220, 2), (10, 40, 1)  # at (0.1, 0.2) and (0.5, 1) of their boxes
    keypoints[0, 1] = 150, 250, 2  # labelled once, at (0.5, 0.5)
    keypoints[1, 1] = 999, 999, 0
    boxes = [[100, 200, 100, 100], [0, 0, 20, 40]]
    train = {
        "annotations": [{"keypoints": k.ravel().tolist(), "bbox": b} for k, b in zip(keypoints, boxes, strict=True)]
    }
    test = {"annotations": [{"image_id": 5, "bbox": [10, 20, 30, 40]}, {"image_id": 6, "bbox": [0, 0, 100, 10]}]}
    results = evaluation.mean_pose_results(train, test)
    poses = np.array([np.reshape(r["keypoints"], (len(INFANT_21), 3)) for r in results])
    np.testing.assert_allclose(poses[:, 0], [[10 + 0.3 * 30, 20 + 0.6 * 40, 1], [30, 6, 1]])
    np.testing.assert_allclose(poses[:, 1], [[25, 40, 1], [50, 5, 1]])
    assert [(r["image_id"], r["score"]) for r in results] == [(5, 1), (6, 1)]
