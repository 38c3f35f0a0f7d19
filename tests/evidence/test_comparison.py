"""Differences between systems: p-values against scipy and by hand, Holm's correction, refusals."""

import itertools

import numpy as np
import pytest
from infant_truth import results, truth
from scipy import stats

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import score
from aggpose_jax.evidence import comparison, examination, report
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import coco_ap


def examined(coco, found, by="infant_id"):
    return examination.examine(score(found, coco, INFANT_21), by)


def test_up_to_12_infants_the_test_is_exact():
    values = np.random.default_rng(0).normal(0.4, 1, 8)
    expected = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=1000
    )
    assert comparison.sign_flip(values[None])[0] == pytest.approx(expected.pvalue)
    assert comparison.sign_flip(np.ones((1, 6)))[0] == 2 / 64
    assert comparison.sign_flip(np.zeros((1, 6)))[0] == 1


def test_more_infants_have_random_flips_with_a_fixed_seed():
    values = np.full((1, 40), 1.0)
    assert comparison.sign_flip(values)[0] == 1 / 10_000
    uneven = np.random.default_rng(1).normal(0.1, 1, (1, 20))
    expected = stats.permutation_test(
        (uneven[0],), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=20_000, rng=0
    )
    assert comparison.sign_flip(uneven)[0] == pytest.approx(expected.pvalue, abs=0.02)
    assert comparison.sign_flip(uneven)[0] == comparison.sign_flip(uneven)[0]


def test_infants_without_a_difference_are_left_out_and_fewer_than_6_have_no_test():
    values = np.array([[0.1, 0.2, 0.3, 0.1, 0.2, np.nan, 0.5]])
    assert comparison.sign_flip(values)[0] == 2 / 64
    assert np.isnan(comparison.sign_flip(values[:, :6])[0])


def test_holm_is_that_of_the_definition():
    p = np.array([0.04, 0.01, np.nan, 0.03, 0.5])
    assert comparison.holm(p) == pytest.approx([0.09, 0.04, np.nan, 0.09, 0.5], nan_ok=True)
    assert comparison.holm(np.array([0.4, 0.9])) == pytest.approx([0.8, 0.9])


def test_how_many_infants_a_test_needs():
    assert comparison.smallest_infants(1) == 6
    assert comparison.smallest_infants(21) == 10


def test_average_precision_is_tested_by_exchanging_infants():
    coco = truth([2] * 6)
    a, b = (
        results(coco, [0.05, 0.1, 0.12, 0.1, 0.05, 0.1], seed=1),
        results(coco, [0.1, 0.15, 0.1, 0.2, 0.1, 0.2], seed=2),
    )
    found = examination.compare(examined(coco, a), examined(coco, b), "b").metrics["AP"]
    infant = {image["id"]: int(image["infant_id"][-1]) for image in coco["images"]}
    differences = []
    for flips in itertools.product((False, True), repeat=6):
        first = [x if not flips[infant[x["image_id"]]] else y for x, y in zip(a, b, strict=True)]
        second = [y if not flips[infant[x["image_id"]]] else x for x, y in zip(a, b, strict=True)]
        differences.append(coco_ap(coco, first, INFANT_21)["AP"] - coco_ap(coco, second, INFANT_21)["AP"])
    assert found.estimate.value == pytest.approx(differences[0])
    assert found.p == pytest.approx(np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12))
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_a_system_against_itself_has_no_difference():
    coco = truth([2] * 6)
    one = examined(coco, results(coco, [0.1] * 6))
    found = examination.compare(one, one, "itself")
    for difference in found.metrics.values():
        assert difference.estimate.value == 0
        assert difference.p == 1


def test_the_better_system_has_the_greater_pck_and_the_smaller_error_at_every_keypoint():
    coco = truth([3] * 10)
    good, bad = (examined(coco, results(coco, [error] * 10, seed)) for seed, error in enumerate((0.02, 0.3)))
    found = examination.compare(good, bad, "bad")
    assert found.metrics["PCK@0.1"].estimate.value == pytest.approx(
        good.metrics["PCK@0.1"].value - bad.metrics["PCK@0.1"].value
    )
    assert found.metrics["error"].p == 2 / 2**10
    assert found.metrics["error"].estimate.high < 0
    for row in found.keypoints.values():
        assert row["error"].adjusted == pytest.approx(21 * 2 / 2**10)
    assert "can never" not in report.comparison_text(found, good, "bad")


@pytest.mark.parametrize(("infants", "part"), [(5, "a test needs 6"), (9, "that needs 10")])
def test_too_few_infants_for_a_test_are_named_in_a_line(infants, part):
    coco = truth([1] * infants)
    a, b = (examined(coco, results(coco, [0.1] * infants, seed)) for seed in (1, 2))
    text = report.comparison_text(examination.compare(a, b, "b"), a, "b")
    assert part in text.splitlines()[-1]
    assert "nan" not in text


def test_other_persons_keypoints_or_truths_are_refused():
    coco = truth([1] * 6)
    one = examined(coco, results(coco, [0.1] * 6))
    fewer = truth([1] * 5)
    with pytest.raises(UserError, match=r"other: has other persons \(5\) than this evaluation \(6\)"):
        examination.compare(one, examined(fewer, results(fewer, [0.1] * 5)), "other")
    moved = truth([1] * 6)
    moved["annotations"][0]["area"] = 1.0
    with pytest.raises(UserError, match="another truth"):
        examination.compare(one, examined(moved, results(moved, [0.1] * 6)), "other")
