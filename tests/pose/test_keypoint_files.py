"""Keypoint sets made from names alone."""

import json

import pytest

from aggpose_jax.pose.keypoint_files import flip_pairs, known_set, set_of_names, to_fields
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, find_keypoint_set


@pytest.mark.parametrize("known", [COCO_17, INFANT_21])
def test_names_alone_give_the_flip_pairs_of_the_sets_of_the_package(known):
    assert set(flip_pairs(known.names)) == {tuple(sorted(pair)) for pair in known.flip_pairs}


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("snout", "leftear", "rightear", "tailbase"), [(1, 2)]),
        (("earR", "nose", "earL"), [(0, 2)]),
        (("PawLeft", "PawRight", "left", "right"), [(0, 1), (2, 3)]),
        (("bright", "light", "leftover"), []),
        (("left_eye", "nose"), []),
    ],
)
def test_flip_pairs_are_names_that_differ_in_the_side(names, pairs):
    assert list(flip_pairs(names)) == pairs


def test_a_known_set_is_found_in_any_order_and_spelling():
    names = [name.replace("_", " ").title() for name in reversed(COCO_17.names)]
    assert known_set(names) is COCO_17
    assert known_set(names[1:]) is None


def test_a_new_set_is_written_as_a_file_that_is_read_back():
    made = set_of_names(("leftear", "rightear", "tail"), "mouse", [("leftear", "tail"), ("tail", "nose")])
    assert made.skeleton == ((0, 2),)
    assert made.sigmas == (0.05,) * 3
    assert made.upper_body == (0, 1, 2)
    assert find_keypoint_set(json.dumps(to_fields(made))) == made
    assert find_keypoint_set(json.dumps(to_fields(INFANT_21))) == INFANT_21
