"""Tests of restricting ground truth and results to some of their keypoints."""

import copy

from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.subset import restrict

SET = KeypointSet(
    "five",
    ("chin", "left_hip", "navel", "right_hip", "left_toe"),
    flip_pairs=((1, 3),),
    skeleton=((0, 2), (1, 3), (3, 4)),
    sigmas=(0.1, 0.2, 0.3, 0.4, 0.5),
    upper_body=(0, 2, 3),
)
TRUTH = {
    "images": [{"id": 4, "file_name": "a.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 4, "area": 50.0, "bbox": [0, 0, 9, 9], "num_keypoints": 3,
         "keypoints": [1, 1, 2, 2, 2, 2, 3, 3, 0, 4, 4, 1, 5, 5, 0]},
        {"id": 2, "image_id": 4, "area": 60.0, "bbox": [1, 1, 9, 9],
         "keypoints": [1, 1, 2, 0, 0, 0, 3, 3, 1, 0, 0, 0, 0, 0, 0]},
    ],
    "categories": [{"id": 1, "name": "infant"}],
}  # fmt: skip
RESULTS = [{"image_id": 4, "category_id": 1, "keypoints": [i / 2 for i in range(15)], "score": 0.25}]


def test_keypoints_of_the_given_names_remain_in_the_order_of_the_set():
    before = copy.deepcopy((TRUTH, RESULTS))
    truth, results, subset = restrict(TRUTH, RESULTS, SET, ("left_toe", "right_hip", "left_hip", "nose"))
    assert before == (TRUTH, RESULTS)
    assert subset.names == ("left_hip", "right_hip", "left_toe")
    assert subset.sigmas == (0.2, 0.4, 0.5)
    assert subset.flip_pairs == ((0, 1),)
    assert subset.skeleton == ((0, 1), (1, 2))
    assert subset.upper_body == (1,)
    assert truth["images"] == TRUTH["images"]
    first, second = truth["annotations"]
    assert first == TRUTH["annotations"][0] | {"keypoints": [2, 2, 2, 4, 4, 1, 5, 5, 0], "num_keypoints": 2}
    assert second == TRUTH["annotations"][1] | {"keypoints": [0] * 9}  # Stays, without a label.
    assert results == [RESULTS[0] | {"keypoints": [1.5, 2.0, 2.5, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]}]


def test_pairs_of_which_one_keypoint_is_removed_are_removed():
    _, _, subset = restrict(TRUTH, RESULTS, SET, ("chin", "left_hip"))
    assert subset.names == ("chin", "left_hip")
    assert subset.flip_pairs == subset.skeleton == ()
