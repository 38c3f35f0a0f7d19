"""Matching OpenPose's files to the images of a data set."""

import numpy as np
import openpose_files
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.openpose_results import read_results
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21


def images(*names: str) -> list[dict]:
    return [{"id": 10 + i, "file_name": name} for i, name in enumerate(names)]


def found_at(x: float) -> dict:
    """Returns a person with BODY_25 at x, x + 1, …, all with the score .5."""
    return openpose_files.person(openpose_files.numbered(x, 25))


def test_files_belong_to_images_by_name_and_persons_are_results(tmp_path):
    openpose_files.write(tmp_path, "a.b", found_at(100), found_at(500))
    openpose_files.write(tmp_path, "c")
    found = read_results(tmp_path, images("x/c.jpg", "video 1/a.b.png", "d.jpg"), COCO_17)
    assert [result["image_id"] for result in found.results] == [11, 11]
    assert [result["score"] for result in found.results] == [0.5, 0.5]
    assert {result["category_id"] for result in found.results} == {1}
    keypoints = np.reshape(found.results[1]["keypoints"], (17, 3))
    np.testing.assert_array_equal(keypoints[[0, 1, 16]], [[500, 1500, 0.5], [516, 1516, 0.5], [511, 1511, 0.5]])
    assert (found.images_without_file, found.unmatched) == (1, [])
    assert found.found == list(COCO_17.names)


def test_files_without_an_image_are_listed(tmp_path):
    for stem in ("z", "a", "b"):
        openpose_files.write(tmp_path, stem, found_at(100))
    (tmp_path / "a_rendered.png").touch()
    (tmp_path / "notes.json").write_text("{")
    found = read_results(tmp_path, images("b.jpg"), COCO_17)
    assert found.unmatched == ["a_keypoints.json", "z_keypoints.json"]
    assert len(found.results) == 1


@pytest.mark.parametrize(
    ("count", "fields", "never"),
    [
        (25, (), ["right_middle_finger", "left_middle_finger", "chin", "navel"]),
        (25, ("hand_left_keypoints_2d", "face_keypoints_2d"), ["right_middle_finger", "navel"]),
        (18, ("hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d"),
         ["right_toe", "left_toe", "navel"]),
    ],
)  # fmt: skip
def test_keypoints_that_the_files_can_contain(tmp_path, count, fields, never):
    sizes = {field: 70 if field.startswith("face") else 21 for field in fields}
    unseen = {field: openpose_files.body({}, size) for field, size in sizes.items()}
    openpose_files.write(tmp_path, "a", openpose_files.person(openpose_files.numbered(9, count), **unseen))
    found = read_results(tmp_path, images("a.jpg"), INFANT_21)
    assert [name for name in INFANT_21.names if name not in found.found] == never


def test_files_without_a_person_give_no_result(tmp_path):
    openpose_files.write(tmp_path, "a")
    found = read_results(tmp_path, images("a.jpg"), INFANT_21)
    assert found == ([], None, 0, [])


@pytest.mark.parametrize(
    ("names", "stems", "parts"),
    [
        (("a.jpg",), (), ["_keypoints.json", "--write_json"]),
        (("a.jpg",), ("b", "c"), ["2 files", "b_keypoints.json"]),
        (("one/a.jpg", "two/a.jpg"), ("a",), ["one/a.jpg", "two/a.jpg", "a_keypoints.json"]),
        (("a.jpg", "b.jpg", "a.png"), ("b",), ["a.jpg", "a.png"]),
    ],
)
def test_a_folder_that_does_not_fit_the_images_is_one_line(tmp_path, names, stems, parts):
    for stem in stems:
        openpose_files.write(tmp_path, stem, found_at(100))
    with pytest.raises(UserError) as raised:
        read_results(tmp_path, images(*names), COCO_17)
    assert all(part in str(raised.value) for part in parts)
    assert "\n" not in str(raised.value)


def test_a_damaged_file_is_named(tmp_path):
    openpose_files.write(tmp_path, "a", found_at(100))
    (tmp_path / "b_keypoints.json").write_text("{")
    with pytest.raises(UserError, match=r"/b_keypoints\.json: "):
        read_results(tmp_path, images("a.jpg", "b.jpg"), COCO_17)
