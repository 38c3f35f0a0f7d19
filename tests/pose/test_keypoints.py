"""Tests of built-in and user-defined keypoint sets."""

import json
import pathlib

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KEYPOINT_SETS, find_keypoint_set, opposite, read_keypoint_set

EXAMPLE = pathlib.Path(__file__).parents[2] / "configs" / "keypoints" / "lsp_14.json"


@pytest.fixture
def fields() -> dict:
    return {
        "name": "hands",
        "keypoints": ["left_hand", "right_hand", "chin", "navel"],
        "flip_pairs": [["left_hand", "right_hand"]],
        "skeleton": [["chin", "navel"], ["left_hand", "chin"]],
        "sigmas": [0.05, 0.05, 0.1, 1],
        "upper_body": ["left_hand", "right_hand", "chin"],
    }


@pytest.mark.parametrize("keypoint_set", KEYPOINT_SETS.values())
def test_built_in_keypoint_sets_are_consistent(keypoint_set):
    count = len(keypoint_set)
    assert find_keypoint_set(keypoint_set.name) is keypoint_set
    assert len(keypoint_set.sigmas) == count == len(set(keypoint_set.names))
    permutation = keypoint_set.flip_permutation
    np.testing.assert_array_equal(permutation[permutation], np.arange(count))
    for name, mirrored in zip(keypoint_set.names, permutation, strict=True):
        other = name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert keypoint_set.names[mirrored] == other
    assert {k for limb in keypoint_set.skeleton for k in limb} == set(range(count))


def test_sizes_of_built_in_keypoint_sets():
    assert (len(COCO_17), len(INFANT_21)) == (17, 21)
    assert (COCO_17.is_upper.sum(), INFANT_21.is_upper.sum()) == (11, 12)


def test_a_file_is_read_as_a_keypoint_set(fields, tmp_path):
    file = tmp_path / "hands.json"
    file.write_text(json.dumps(fields))
    text = read_keypoint_set(str(file))
    file.unlink()
    found = find_keypoint_set(text)
    assert found.names == ("left_hand", "right_hand", "chin", "navel")
    assert found.name == "hands"
    assert found.flip_pairs == ((0, 1),)
    assert found.skeleton == ((2, 3), (0, 2))
    assert found.sigmas == (0.05, 0.05, 0.1, 1.0)
    assert found.is_upper.tolist() == [True, True, True, False]
    assert found.flip_permutation.tolist() == [1, 0, 2, 3]


def test_the_example_file_has_14_keypoints_of_the_infant_set():
    found = find_keypoint_set(str(EXAMPLE))
    assert len(found) == 14
    assert set(found.names) <= set(INFANT_21.names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": ["left_hand", "right_hand", "chin", "chin"]}, r"keypoints .*'chin', 'chin'\]"),
        ({"keypoints": []}, r"keypoints .*\[\]"),
        ({"sigmas": [0.05, 0.05, 0.1]}, "sigmas .* 4 "),
        ({"sigmas": [0.05, 0.05, 0.1, 0]}, "sigmas .* 4 "),
        ({"flip_pairs": [["left_hand", "foot"]]}, r"flip_pairs .*\['left_hand', 'foot'\]"),
        ({"flip_pairs": [["left_hand", "right_hand"], ["chin", "left_hand"]]}, r"flip_pairs [^\[]*left_hand"),
        ({"flip_pairs": [["chin", "chin"]]}, r"flip_pairs [^\[]*chin"),
        ({"flip_pairs": []}, r"flip_pairs [^\[]*left_hand, right_hand"),
        ({"flip_pairs": [["left_hand", "chin"], ["right_hand", "navel"]]}, r"flip_pairs [^\[]*left_hand, right_hand"),
        ({"skeleton": [["chin"]]}, r"skeleton .*\['chin'\]"),
        ({"skeleton": "chin"}, "skeleton .*chin"),
        ({"upper_body": ["toe"]}, r"upper_body .*\['toe'\]"),
        ({"sigma": 1}, "name, keypoints, flip_pairs, skeleton, sigmas, upper_body"),
    ],
)
def test_invalid_fields_are_reported_in_one_line_with_the_file(fields, change, message, tmp_path):
    file = tmp_path / "set.json"
    file.write_text(json.dumps(fields | change))
    with pytest.raises(UserError, match=rf"set\.json: .*{message}") as error:
        read_keypoint_set(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("{", "JSON"), ("[]", "name, keypoints")])
def test_files_that_are_missing_or_not_keypoint_sets_are_reported(content, message, tmp_path):
    file = tmp_path / "set.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=rf"set\.json.*{message}"):
        read_keypoint_set(str(file))


def test_the_error_for_an_unknown_name_lists_the_known_names():
    with pytest.raises(UserError, match=r"keypoint_set: coco .*coco_17.*infant_21"):
        find_keypoint_set("coco")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("left_eye", "right_eye"),
        ("RightHip", "LeftHip"),
        ("kneeLeft", "kneeRight"),
        ("hip_L", "hip_R"),
        ("l-paw", "r-paw"),
        ("ankle.r", "ankle.l"),
        ("nose", None),
        ("lip", None),
        ("bright_spot", None),
        ("tail_root", None),
    ],
)
def test_the_side_in_a_name_is_found_however_it_is_written(name, other):
    assert opposite(name) == other
    assert other is None or opposite(other) == name


def test_keypoints_of_one_side_without_a_counterpart_are_listed(fields, tmp_path):
    names = ["left_hand", "right_hand", "chin", "left_foot"]
    (tmp_path / "set.json").write_text(json.dumps(fields | {"keypoints": names, "upper_body": [], "skeleton": []}))
    assert find_keypoint_set(str(tmp_path / "set.json")).one_sided == ["left_foot"]
    assert INFANT_21.one_sided == COCO_17.one_sided == []
