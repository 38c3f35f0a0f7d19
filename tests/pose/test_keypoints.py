"""Keypoint sets: the built-in ones and a user's own."""

import json
import pathlib

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KEYPOINT_SETS, find_keypoint_set, read_keypoint_set

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
def test_the_built_in_sets_hold_together(keypoint_set):
    count = len(keypoint_set)
    assert find_keypoint_set(keypoint_set.name) is keypoint_set
    assert len(keypoint_set.sigmas) == count == len(set(keypoint_set.names))
    permutation = keypoint_set.flip_permutation
    np.testing.assert_array_equal(permutation[permutation], np.arange(count))
    for name, mirrored in zip(keypoint_set.names, permutation, strict=True):
        other = name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        assert keypoint_set.names[mirrored] == other
    assert {k for limb in keypoint_set.skeleton for k in limb} == set(range(count))


def test_sizes():
    assert (len(COCO_17), len(INFANT_21)) == (17, 21)
    assert (COCO_17.is_upper.sum(), INFANT_21.is_upper.sum()) == (11, 12)


def test_a_file_becomes_a_set(fields, tmp_path):
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


def test_the_example_is_a_part_of_the_infant_set():
    found = find_keypoint_set(str(EXAMPLE))
    assert len(found) == 14
    assert set(found.names) <= set(INFANT_21.names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": ["left_hand", "right_hand", "chin", "chin"]}, "different names"),
        ({"keypoints": []}, "different names"),
        ({"sigmas": [0.05, 0.05, 0.1]}, "4 positive numbers"),
        ({"sigmas": [0.05, 0.05, 0.1, 0]}, "4 positive numbers"),
        ({"flip_pairs": [["left_hand", "foot"]]}, r"flip_pairs has \['left_hand', 'foot'\]"),
        ({"flip_pairs": [["left_hand", "right_hand"], ["chin", "left_hand"]]}, "flip_pairs name left_hand twice"),
        ({"flip_pairs": [["chin", "chin"]]}, "flip_pairs name chin twice"),
        ({"skeleton": [["chin"]]}, "skeleton has"),
        ({"skeleton": "chin"}, "skeleton must be a list"),
        ({"upper_body": ["toe"]}, "upper_body must be names"),
        ({"sigma": 1}, "has the fields name, keypoints"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_a_line(fields, change, message, tmp_path):
    file = tmp_path / "set.json"
    file.write_text(json.dumps(fields | change))
    with pytest.raises(UserError, match=rf"set\.json: .*{message}") as error:
        read_keypoint_set(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "message"), [(None, "nor a file"), ("{", "is not JSON"), ("[]", "the fields")])
def test_a_file_that_is_none(content, message, tmp_path):
    file = tmp_path / "set.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=rf"set\.json.* {message}"):
        read_keypoint_set(str(file))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="coco is neither coco_17 nor infant_21"):
        find_keypoint_set("coco")
