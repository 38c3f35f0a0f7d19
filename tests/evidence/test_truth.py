"""Truths without an experiment, and results of films."""

import json

import numpy as np
import pytest
from infant_truth import results, truth

from aggpose_jax.errors import UserError
from aggpose_jax.evidence.results import score_results
from aggpose_jax.evidence.truth import read_truth
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def film(frames: int) -> dict:
    """Returns the truth of a film, whose image ids are the frame numbers from 0."""
    coco = truth([frames])
    for image in coco["images"]:
        image["id"] -= 1
        del image["video_id"], image["infant_id"]
    for annotation in coco["annotations"]:
        annotation["image_id"] -= 1
    return coco


def test_the_keypoint_set_is_that_of_the_category(tmp_path):
    assert read_truth(write(tmp_path / "a.json", truth([1])), None).keypoint_set is INFANT_21
    coco = truth([1])
    coco["categories"][0]["keypoints"] = list(COCO_17.names)
    coco["annotations"][0]["keypoints"] = coco["annotations"][0]["keypoints"][: 3 * 17]
    assert read_truth(write(tmp_path / "b.json", coco), None).keypoint_set is COCO_17


def test_unknown_or_reordered_keypoints_need_a_keypoint_set(tmp_path):
    coco = truth([1])
    coco["categories"][0]["keypoints"].reverse()
    with pytest.raises(UserError, match=r"a.json: has the keypoints of infant_21 in another order.*--keypoint-set"):
        read_truth(write(tmp_path / "a.json", coco), None)
    del coco["categories"]
    with pytest.raises(UserError, match=r"a.json: has no category.*--keypoint-set"):
        read_truth(write(tmp_path / "a.json", coco), None)
    assert read_truth(tmp_path / "a.json", "infant_21").keypoint_set is INFANT_21


def test_missing_and_invalid_files_are_one_line(tmp_path):
    with pytest.raises(UserError, match="none cannot be read"):
        read_truth(tmp_path / "none", None)
    with pytest.raises(UserError, match=r"has no file FILM\.json"):
        read_truth(tmp_path, None)
    with pytest.raises(UserError, match="images and annotations"):
        read_truth(write(tmp_path / "a.json", []), "infant_21")


def test_predictions_on_films_are_scored_on_the_truths_of_the_films(tmp_path):
    films = {"video_1": 3, "video_2": 2}
    for seed, (name, frames) in enumerate(films.items()):
        write(tmp_path / "truth" / f"{name}.json", film(frames))
        coco = truth([frames])
        found = results(coco, [0.02], seed)
        for result in found:
            result["image_id"] -= 1
        write(tmp_path / "out" / name / "keypoints.json", found)
    opened = read_truth(tmp_path / "truth", None)
    assert [image["video_id"] for image in opened.ground_truth["images"]] == ["video_1"] * 3 + ["video_2"] * 2
    evaluation = score_results(tmp_path / "out", opened)
    assert len(evaluation.results) == 5
    assert evaluation.metrics["PCK@0.1"] == pytest.approx(1, abs=0.02)
    (tmp_path / "out" / "video_2" / "keypoints.json").unlink()
    assert score_results(tmp_path / "out", opened).metrics["PCK@0.1"] == pytest.approx(0.6, abs=0.02)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: has neither results.json nor video_1/keypoints.json"):
        score_results(tmp_path / "empty", opened)
    one = score_results(
        tmp_path / "out" / "video_1" / "keypoints.json", read_truth(tmp_path / "truth" / "video_1.json", None)
    )
    assert one.metrics["PCK@0.1"] == pytest.approx(1, abs=0.02)


def test_missing_and_duplicate_results_are_warned_of(tmp_path, capsys):
    coco = truth([3])
    found = results(coco, [0.02])
    score_results(
        write(tmp_path / "r.json", [found[0], found[0], found[1]]), read_truth(write(tmp_path / "t.json", coco), None)
    )
    first, second = capsys.readouterr().err.splitlines()
    assert "r.json: 1 of 3 images with a person have no result" in first
    assert "r.json: 1 results occur more than once, first in image 1" in second


@pytest.mark.parametrize("score", [np.nan, None, "high"])
def test_scores_that_are_no_numbers_are_refused(tmp_path, score):
    coco = truth([2])
    found = results(coco, [0.02])
    found[1]["score"] = score
    with pytest.raises(UserError, match=r"r.json: result number 1 .*score"):
        score_results(write(tmp_path / "r.json", found), read_truth(write(tmp_path / "t.json", coco), None))
