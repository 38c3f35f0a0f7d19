"""Distances between raters, and sigmas from their spread."""

import json

import numpy as np
import pytest
from infant_truth import TORSO, results, truth

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import score
from aggpose_jax.evidence import examination, report
from aggpose_jax.pose.keypoints import INFANT_21

SPREAD = 0.03  # root of the mean squared distance from the true position, divided by the root of the area
ROOT_AREA = 200.0


def rated(folder, seed: int, images: int = 60):
    """Returns a truth whose keypoints have the spread of a rater."""
    coco = truth([images // 6] * 6)
    rng = np.random.default_rng(seed)
    for annotation in coco["annotations"]:
        points = np.reshape(annotation["keypoints"], (-1, 3))
        points[:, :2] += SPREAD * ROOT_AREA / np.sqrt(2) * rng.standard_normal((len(points), 2))
        annotation["keypoints"] = points.ravel().tolist()
    (folder / f"rater_{seed}.json").write_text(json.dumps(coco))
    return coco


def examined(coco):
    return examination.examine(score(results(coco, [0.05] * 6), coco, INFANT_21), "infant_id")


def test_the_spread_of_three_raters_is_recovered(tmp_path):
    first = rated(tmp_path, 0, 240)
    for seed in (1, 2):
        rated(tmp_path, seed, 240)
    examination_ = examined(first)
    found = examination.compare_raters(examination_, [tmp_path / "rater_1.json", tmp_path / "rater_2.json"])
    sigmas = np.array([one.sigma for one in found.values()])
    assert sigmas == pytest.approx(np.full(21, SPREAD), rel=0.1)
    # The distance of two raters has a Rayleigh distribution; its median is scale · √(2 ln 2).
    median = SPREAD * ROOT_AREA * np.sqrt(2 * np.log(2)) / TORSO
    assert found["chin"].distance.value == pytest.approx(median, rel=0.15)
    assert found["chin"].distance.low < median < found["chin"].distance.high
    text = report.raters_text(found, examination_)
    assert len(json.loads("{" + text.splitlines()[-1].partition(": ")[2] + "}")["sigmas"]) == 21


def test_keypoints_that_a_rater_did_not_label_are_left_out(tmp_path):
    first = rated(tmp_path, 0)
    second = rated(tmp_path, 1)
    for annotation in second["annotations"]:
        annotation["keypoints"][2] = 0
    (tmp_path / "rater_1.json").write_text(json.dumps(second))
    found = examination.compare_raters(examined(first), [tmp_path / "rater_1.json"])
    assert np.isnan(found["right_eye"].sigma)
    assert np.isnan(found["right_eye"].distance.value)
    assert found["chin"].sigma == pytest.approx(SPREAD, rel=0.25)
    assert "null" in report.raters_text(found, examined(first))


def test_other_images_are_refused(tmp_path):
    first = rated(tmp_path, 0)
    second = rated(tmp_path, 1)
    second["images"][3]["file_name"] = "other.jpg"
    (tmp_path / "rater_1.json").write_text(json.dumps(second))
    with pytest.raises(UserError, match=r"rater_1.json: image 4 is other.jpg"):
        examination.compare_raters(examined(first), [tmp_path / "rater_1.json"])
