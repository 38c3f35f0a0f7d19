"""The program `aggpose evaluate --results`: metrics computed by hand of OpenPose files and COCO results; errors."""

import json

import numpy as np
import openpose_files
import pytest
from programs import run

from aggpose_jax.errors import UserError
from aggpose_jax.evaluate import evaluate_results, parser, write
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21

# Points of OpenPose's BODY_25 for the keypoints of the sets in their order; -1 is never.
COCO_17_FROM_25 = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
INFANT_FROM_25 = [15, 2, 3, 4, -1, 9, 10, 11, 22, 16, 5, 6, 7, -1, 12, 13, 14, 19, -1, 1, -1]
NAMES = ("film/one.jpg", "film/two.jpg", "three.png")
TWO_OF_THREE = 67 / 101  # AP at precision 1 up to a recall of 2/3: that of 0, .01 … .66 of COCOeval's 101 recalls
SECOND_ROW = "16 keypoints that OpenPose has"


def pose(keypoint_set, shift: float) -> np.ndarray:
    """Returns keypoints [K, 3] far from the corner of the image, all visible."""
    k = np.arange(len(keypoint_set))
    return np.column_stack([500 + shift + 10 * k, 700 + 7 * k, np.full(len(k), 2.0)])


def experiment(folder, keypoint_set, poses=None) -> list[str]:
    """Writes a data set of one person in each of three images; returns the overrides with which coco_l evaluates it."""
    poses = [pose(keypoint_set, 20 * i) for i in range(3)] if poses is None else poses
    images = [{"id": 7 + i, "file_name": name, "width": 2000, "height": 2000} for i, name in enumerate(NAMES)]
    persons = [
        {"id": i + 1, "image_id": 7 + i, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "area": 9000.0,
         "bbox": [500, 700, 300, 300], "iscrowd": 0, "num_keypoints": len(keypoint_set)}
        for i, keypoints in enumerate(poses)
    ]  # fmt: skip
    content = {"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "person_keypoints_test.json").write_text(json.dumps(content))
    (folder / "test").mkdir()
    return [f"data_dir={folder}", "eval_split=test", f"keypoint_set={keypoint_set.name}"]


def openpose_person(keypoint_set, shift: float, score: float, missing=()) -> dict:
    """Returns a person of an OpenPose file at `pose`, whose points but the missing ones all have a score."""
    order = COCO_17_FROM_25 if keypoint_set is COCO_17 else INFANT_FROM_25
    points = {b: (*xy, score) for b, xy in zip(order, pose(keypoint_set, shift)[:, :2], strict=True) if b >= 0}
    return openpose_files.person(openpose_files.body({b: p for b, p in points.items() if b not in missing}))


def test_two_of_three_persons_that_openpose_found_exactly(tmp_path, capsys):
    overrides = experiment(tmp_path / "data", COCO_17)
    folder = tmp_path / "openpose"
    openpose_files.write(folder, "one", openpose_person(COCO_17, 0, 0.9))
    openpose_files.write(folder, "three", openpose_person(COCO_17, 40, 0.8))
    evaluation = evaluate_results(folder, "coco_l", overrides)
    metrics = evaluation.metrics
    assert [metrics[name] for name in ("AP", "AP50", "AP75", "APM")] == pytest.approx([TWO_OF_THREE] * 4)
    assert [metrics[name] for name in ("AR", "PCK@0.1")] == pytest.approx([2 / 3] * 2)
    assert evaluation.openpose is None  # All of COCO-17 is in BODY_25.
    assert [result["image_id"] for result in evaluation.results] == [7, 9]
    assert [result["score"] for result in evaluation.results] == pytest.approx([0.9 * 17 / 25, 0.8 * 17 / 25])
    out, err = capsys.readouterr()
    assert out == "OpenPose finds 17 of 17 keypoints\n"
    assert err == "warning: 1 of 3 images have no OpenPose file and count as images without detection\n"


def test_the_order_of_persons_is_that_of_their_scores_divided_by_all_points(tmp_path):
    overrides = experiment(tmp_path / "data", COCO_17)
    folder = tmp_path / "openpose"
    # A wrong person of 3 certain points scores 3 · 1 / 25 and comes after the others, which score 17 · .5 / 25. If only
    # points that were found were averaged, it would come first, and the precision would be 2/3 instead of 1.
    wrong = openpose_person(COCO_17, 300, 1.0, missing=set(COCO_17_FROM_25) - {0, 5, 2})
    openpose_files.write(folder, "one", wrong, openpose_person(COCO_17, 0, 0.5))
    openpose_files.write(folder, "two", openpose_person(COCO_17, 20, 0.5))
    openpose_files.write(folder, "three")
    assert evaluate_results(folder, "coco_l", overrides).metrics["AP"] == pytest.approx(TWO_OF_THREE)
    # In front, it halves and then lowers the precision to 2/3, at all recalls up to 2/3.
    wrong = openpose_person(COCO_17, 300, 1.0)
    openpose_files.write(folder, "one", openpose_person(COCO_17, 0, 0.5), wrong)
    assert evaluate_results(folder, "coco_l", overrides).metrics["AP"] == pytest.approx(2 / 3 * TWO_OF_THREE)


def test_infants_have_a_second_row_of_the_keypoints_that_openpose_has(tmp_path, capsys):
    overrides = experiment(tmp_path / "data", INFANT_21)
    folder = tmp_path / "openpose"
    openpose_files.write(folder, "one", openpose_person(INFANT_21, 0, 0.9))
    openpose_files.write(folder, "two", openpose_person(INFANT_21, 20, 0.9))
    openpose_files.write(folder, "three")
    openpose_files.write(folder, "four", openpose_person(INFANT_21, 0, 0.9))
    evaluation = evaluate_results(folder, "coco_l", overrides)
    # Both persons have an OKS of 17/21 = .81, which is above 7 of COCOeval's 10 thresholds .5, .55 … .95.
    assert evaluation.metrics["AP"] == pytest.approx(0.7 * TWO_OF_THREE)
    assert evaluation.metrics["OKS_p95"] == pytest.approx(17 / 21)
    assert evaluation.keypoints["chest"]["OKS"] == pytest.approx(2 / 3)
    assert evaluation.keypoints["navel"]["OKS"] == 0
    assert len(evaluation.openpose.keypoints) == 16
    expected = {f"{side}_{part}" for side in ("left", "right")
                for part in ("eye", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe")}  # fmt: skip
    assert set(evaluation.openpose.keypoints) == expected
    assert evaluation.openpose.metrics["AP"] == pytest.approx(TWO_OF_THREE)
    assert evaluation.openpose.metrics["OKS_p95"] == 1
    out, err = capsys.readouterr()
    assert out == "OpenPose finds 17 of 21 keypoints; never: right_middle_finger, left_middle_finger, chin, navel\n"
    assert err == "warning: ignored files that match no image (1): four_keypoints.json\n"
    write(evaluation, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["openpose"]["metrics"]["AP"] == pytest.approx(TWO_OF_THREE)
    assert set(written["openpose"]["keypoints"]) == expected


def test_persons_without_a_label_among_the_shared_keypoints_do_not_count_in_the_second_row(tmp_path):
    poses = [pose(INFANT_21, 20 * i) for i in range(3)]
    poses[2][:18, 2] = 0  # Only chin, chest and navel are labelled.
    overrides = experiment(tmp_path / "data", INFANT_21, poses)
    folder = tmp_path / "openpose"
    for name, shift in (("one", 0), ("two", 20)):
        openpose_files.write(folder, name, openpose_person(INFANT_21, shift, 0.9))
    evaluation = evaluate_results(folder, "coco_l", overrides)
    assert evaluation.metrics["AR"] == pytest.approx(0.7 * 2 / 3)
    assert evaluation.openpose.metrics["AP"] == evaluation.openpose.metrics["AR"] == 1


def test_coco_results_of_another_program_have_their_own_scores(tmp_path):
    overrides = experiment(tmp_path / "data", COCO_17)
    file = tmp_path / "results.json"
    found = [
        {"image_id": 7 + i, "category_id": 1, "keypoints": pose(COCO_17, shift).ravel().tolist(), "score": score,
         "bbox": [0, 0, 1, 1]}
        for i, shift, score in ((0, 0, 0.5), (2, 400, 0.75), (1, 20, 0.25))
    ]  # fmt: skip
    file.write_text(json.dumps(found))
    evaluation = evaluate_results(file, "coco_l", overrides)
    # The second is wrong and has the highest score, so that the precisions are 0, 1/2 and 2/3.
    assert evaluation.metrics["AP"] == pytest.approx(2 / 3 * TWO_OF_THREE)
    write(evaluation, tmp_path / "out")
    again = evaluate_results(tmp_path / "out" / "results.json", "coco_l", overrides)
    assert again.metrics == evaluation.metrics
    file.write_text("[]")
    empty = evaluate_results(file, "coco_l", overrides)
    assert empty.metrics["AP"] == empty.metrics["AR"] == empty.metrics["PCK@0.2"] == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=frames"], "data: frames"),
        (["task=mae"], "task: mae"),
        (["data=synthetic"], "keypoint_set: coco_17"),
        (["data_dir=/none"], "/none is missing"),
        (["keypoint_set=no.json"], "keypoint_set: no.json"),
    ],
)
def test_an_experiment_without_keypoints_or_data_is_one_line(tmp_path, overrides, message):
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(UserError, match=message) as raised:
        evaluate_results(tmp_path / "results.json", "coco_l", overrides)
    assert "\n" not in str(raised.value)


def test_results_that_are_missing_or_lack_an_experiment_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"/none: no such file"):
        evaluate_results(tmp_path / "none", "coco_l", [])
    with pytest.raises(UserError, match="--config"):
        evaluate_results(tmp_path, None, [])


def test_synthetic_infants_are_a_ground_truth(tmp_path):
    openpose_files.write(tmp_path, "synthetic_000002")
    evaluation = evaluate_results(tmp_path, "synthetic", ["synthetic_eval=3"])
    assert evaluation.metrics["AP"] == 0
    assert len(evaluation.matches.ids) == 3


@pytest.mark.parametrize(
    ("argv", "parts"),
    [([], ["--checkpoint", "--results"]), (["--checkpoint=a", "--results=b"], ["--checkpoint", "--results"])],
)
def test_exactly_one_of_checkpoint_and_results_is_given(argv, parts, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse(argv)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts)


def test_the_program_prints_two_rows_and_writes_both_files(tmp_path):
    overrides = [f"--config.{override}" for override in experiment(tmp_path / "data", INFANT_21)]
    openpose_files.write(tmp_path / "openpose", "two", openpose_person(INFANT_21, 20, 0.9))
    arguments = (f"--results={tmp_path / 'openpose'}", "--config=coco_l", *overrides)
    ended = run("evaluate", *arguments, f"--out={tmp_path / 'out'}")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    (first,) = [i for i, line in enumerate(lines) if " AP50 " in line]
    assert lines[first + 1].startswith("openpose ")
    # One of three persons, at 7 of 10 thresholds: 34 of 101 recalls.
    assert float(lines[first + 1].split()[1]) == pytest.approx(0.7 * 34 / 101, abs=5e-4)
    assert lines[first + 2].startswith(f"{SECOND_ROW} ")
    assert float(lines[first + 2].removeprefix(SECOND_ROW).split()[0]) == pytest.approx(34 / 101, abs=5e-4)
    assert "2 of 3 images" in ended.stderr
    files = {"metrics.json", "results.json", "persons.csv", "card.md"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert not list((tmp_path / "openpose").glob("metrics.json"))

    refused = run("evaluate", f"--results={tmp_path / 'out' / 'results.json'}", f"--out={tmp_path / 'out'}", *overrides)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {tmp_path / 'out'}: ")
