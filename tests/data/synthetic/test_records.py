"""Tests that synthetic records are pure functions of their index and are labelled as in COCO."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement
from aggpose_jax.errors import UserError


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("make", [lambda: SyntheticInfants(9), lambda: SyntheticMovement(3, 3, split="test")])
def test_a_record_depends_only_on_its_index(make):
    forwards, backwards = make(), make()
    first = {i: forwards[i] for i in (0, 4, 8)}
    second = {i: backwards[i] for i in (8, 4, 0)}
    assert all(equal(first[i], second[i]) for i in first)
    assert equal(forwards[-1], first[8])


def test_each_index_split_and_seed_gives_a_different_infant():
    sources = [SyntheticInfants(3), SyntheticInfants(3, split="test"), SyntheticInfants(3, seed=1)]
    records = [source[i] for source in sources for i in range(3)]
    assert len({r["image"].tobytes() for r in records}) == 9
    assert len({r["keypoints"].tobytes() for r in records}) == 9


def test_records_do_not_depend_on_the_length_of_the_source():
    assert equal(SyntheticInfants(2)[1], SyntheticInfants(1000)[1])


def test_shapes_dtypes_and_ids_of_a_record():
    record = SyntheticMovement(2, 3)[4]
    assert record["image"].shape == (240, 320, 3)
    assert record["image"].dtype == np.uint8
    assert record["keypoints"].shape == (21, 3)
    assert record["keypoints"].dtype == record["box"].dtype == np.float32
    assert (record["id"], record["image_id"], record["video_id"], record["frame"]) == (5, 5, 2, 1)


def test_frames_of_a_video_show_the_same_infant_with_different_noise():
    still = SyntheticMovement(1, 2, fps=1e9)  # nothing moves between the frames
    first, second = still[0]["image"].astype(int), still[1]["image"].astype(int)
    assert 0.2 < np.abs(first - second).mean() < 15
    np.testing.assert_allclose(still[0]["keypoints"], still[1]["keypoints"], atol=1e-3)


def test_index_out_of_range_and_unknown_split_raise():
    with pytest.raises(IndexError):
        SyntheticInfants(3)[3]
    with pytest.raises(UserError, match="train, test"):
        SyntheticInfants(3, split="val")


def test_box_and_area_are_computed_from_the_labelled_keypoints():
    truth = SyntheticInfants(300).ground_truth()
    visibilities = set()
    for annotation in truth["annotations"]:
        points = [annotation["keypoints"][i : i + 3] for i in range(0, 63, 3)]
        labelled = [(x, y) for x, y, visibility in points if visibility]
        visibilities |= {visibility for _, _, visibility in points}
        assert all((x, y) == (0, 0) for x, y, visibility in points if not visibility)
        assert all(0 <= x <= 319 and 0 <= y <= 239 for x, y in labelled)
        columns, rows = zip(*labelled, strict=True)
        box = [min(columns), min(rows), max(columns) - min(columns), max(rows) - min(rows)]
        np.testing.assert_allclose(annotation["bbox"], box, rtol=1e-6)
        assert annotation["area"] == pytest.approx(0.53 * box[2] * box[3], rel=1e-5)
        assert annotation["num_keypoints"] == len(labelled)
    assert visibilities == {0, 1, 2}


def test_the_ground_truth_of_a_video_has_its_frame_numbers_as_image_ids():
    source = SyntheticMovement(2, 3, seed=3)
    truth = source.ground_truth(1)
    for frame, (image, annotation) in enumerate(zip(truth["images"], truth["annotations"], strict=True)):
        record = source[3 + frame]
        assert image["id"] == annotation["image_id"] == image["frame"] == record["frame"] == frame
        assert annotation["id"] == frame + 1
        assert annotation["keypoints"] == record["keypoints"].ravel().tolist()


def test_ground_truth_equals_the_labels_of_the_records():
    source = SyntheticInfants(4, split="test")
    truth = source.ground_truth()
    for i, (image, annotation) in enumerate(zip(truth["images"], truth["annotations"], strict=True)):
        record = source[i]
        assert image["id"] == annotation["image_id"] == record["image_id"]
        assert annotation["id"] == record["id"]
        assert annotation["keypoints"] == record["keypoints"].ravel().tolist()
        assert annotation["bbox"] == record["box"].tolist()
        assert annotation["area"] == record["area"]
        assert (image["height"], image["width"]) == record["image"].shape[:2]
        assert image.get("frame") == record.get("frame")
    assert truth["categories"][0]["keypoints"][17] == "left_toe"
