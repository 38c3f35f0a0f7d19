"""Metrics of persons and keypoints: values computed by hand."""

import numpy as np
import pytest
from infant_truth import results, truth
from scipy import stats

from aggpose_jax.estimation.evaluation import score
from aggpose_jax.evidence import examination
from aggpose_jax.pose.keypoints import INFANT_21

CHIN = INFANT_21.names.index("chin")


def examined(coco, found, by="infant_id"):
    return examination.examine(score(found, coco, INFANT_21), by)


def test_metrics_are_those_of_the_evaluation():
    coco = truth([3, 1, 2, 2])
    found = results(coco, [0.05, 0.1, 0.1, 0.2])
    evaluation = score(found, coco, INFANT_21)
    metrics = examination.examine(evaluation, "infant_id").metrics
    for name in ("AP", "AP50", "AP75", "APL", "AR", "PCK@0.1", "PCK@0.2"):
        assert metrics[name].value == pytest.approx(evaluation.metrics[name]), name
        assert metrics[name].low <= metrics[name].value <= metrics[name].high
        assert (metrics[name].frames, metrics[name].infants) == (8, 4)
    assert np.isnan(metrics["APM"].value)
    assert metrics["OKS"].value == pytest.approx(evaluation.matches.oks.mean())


def test_without_units_the_values_are_the_same_and_have_no_intervals():
    coco = truth([3, 1, 2, 2])
    found = results(coco, [0.05, 0.1, 0.1, 0.2])
    with_units, without = (examined(coco, found, by).metrics for by in ("infant_id", None))
    for name, estimate in without.items():
        expected = np.nan if name == "error" else with_units[name].value  # the error is a mean over infants
        assert estimate.value == pytest.approx(expected, nan_ok=True)
        assert np.isnan(estimate.low)


def test_the_error_is_the_geometric_mean_over_infants_of_their_mean_error():
    coco = truth([3, 1, 2, 2])
    result = examined(coco, results(coco, [0.05, 0.1, 0.1, 0.2]))
    error = result.persons.error
    means = [error[rows].mean() for rows in ([0, 1, 2], [3], [4, 5], [6, 7])]
    assert result.metrics["error"].value == pytest.approx(stats.gmean(means))


def test_visible_and_hidden_keypoints_bias_and_scatter():
    coco = truth([1, 1, 1, 1])
    found = results(coco, [0.0] * 4)
    for i, (annotation, result) in enumerate(zip(coco["annotations"], found, strict=True)):
        annotation["keypoints"][3 * CHIN + 2] = 1 if i < 2 else 2
        result["keypoints"][3 * CHIN] += [10, 10, 20, 40][i]
    row = examined(coco, found).keypoints["chin"]
    assert row["error_p50_hidden"].value == pytest.approx(0.1)
    assert row["error_p50_visible"].value == pytest.approx(0.3)
    assert row["PCK@0.2"].value == 0.75
    assert row["bias_x"].value == pytest.approx(0.2)
    assert row["bias_y"].value == pytest.approx(0)
    assert row["scatter"].value == pytest.approx(np.std([0.1, 0.1, 0.2, 0.4]))


def test_subgroups_are_the_labels_of_all_images():
    coco = truth([2, 2, 1], skin=["dark", "light", "dark"], note=["a", None, "b"], place=["x", "x", "x"])
    found = examined(coco, results(coco, [0.01, 0.3, 0.01])).subgroups
    assert found.keys() == {"skin dark", "skin light"}
    assert found["skin dark"]["PCK@0.1"].value == 1
    assert (found["skin dark"]["OKS"].frames, found["skin dark"]["OKS"].infants) == (3, 2)


def test_images_of_two_infants_have_intervals_of_pck_and_none_of_ap():
    coco = truth([1] * 10)
    found = results(coco, [0.05 * (i + 1) for i in range(10)])
    for i, annotation in enumerate(coco["annotations"]):
        annotation["infant_id"] = i
        annotation["image_id"] = found[i]["image_id"] = 1 + i // 2
        shifted = np.reshape(annotation["keypoints"], (-1, 3))
        shifted[:, 0] += 400 * (i % 2)
        moved = np.reshape(found[i]["keypoints"], (-1, 3))
        moved[:, 0] += 400 * (i % 2)
        annotation["keypoints"], found[i]["keypoints"] = shifted.ravel().tolist(), moved.ravel().tolist()
    coco["images"] = [{key: v for key, v in image.items() if key != "infant_id"} for image in coco["images"][:5]]
    result = examined(coco, found)
    assert result.matches is None
    assert np.isnan(result.metrics["AP"].low)
    assert result.metrics["AP"].value >= 0
    assert result.metrics["PCK@0.1"].infants == 10
    assert result.metrics["PCK@0.1"].low > 0


def test_a_truth_without_torso_has_null_errors():
    coco = truth([1] * 5)
    for annotation in coco["annotations"]:
        annotation["keypoints"][3 * INFANT_21.names.index("left_hip") + 2] = 0
    metrics = examined(coco, results(coco, [0.1] * 5)).metrics
    assert np.isnan([metrics[name].value for name in ("PCK@0.1", "error", "error_p50")]).all()
    assert metrics["AP"].value >= 0


def test_persons_without_detection_lower_pck_and_count_as_infinitely_far():
    coco = truth([1] * 5)
    result = examined(coco, results(coco, [0.01] * 5)[:2])
    assert result.metrics["PCK@0.1"].value == pytest.approx(0.4)
    assert result.metrics["error_p50"].value == np.inf
    assert result.metrics["error"].value < 0.1
    assert result.metrics["error"].infants == 2
