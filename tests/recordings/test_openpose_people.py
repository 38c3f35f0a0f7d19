"""OpenPose's files: the order of their points, their names, and persons of damaged files."""

import json

import numpy as np
import openpose_files
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet
from aggpose_jax.recordings import openpose
from aggpose_jax.recordings.openpose_people import BODY_25, COCO_18, read_people, select, sources

# Indices of the points in OpenPose's output documentation, for the keypoints of each set in its order; -1 is never.
COCO_17_FROM_25 = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
COCO_17_FROM_18 = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
INFANT_FROM_25 = [15, 2, 3, 4, -1, 9, 10, 11, 22, 16, 5, 6, 7, -1, 12, 13, 14, 19, -1, 1, -1]
INFANT_FROM_18 = [14, 2, 3, 4, -1, 8, 9, 10, -1, 15, 5, 6, 7, -1, 11, 12, 13, -1, -1, 1, -1]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "openpose"


@pytest.mark.parametrize(
    ("keypoint_set", "count", "indices"),
    [
        (COCO_17, 25, COCO_17_FROM_25),
        (COCO_17, 18, COCO_17_FROM_18),
        (INFANT_21, 25, INFANT_FROM_25),
        (INFANT_21, 18, INFANT_FROM_18),
    ],
)
def test_keypoints_are_the_points_of_the_published_indices(folder, keypoint_set, count, indices):
    file = openpose_files.write(folder, "a", openpose_files.person(openpose_files.numbered(100, count)))
    (found,) = read_people(file)
    keypoints = select(found, sources(keypoint_set))
    expected = [(100 + i, 1100 + i, 0.5) if i >= 0 else (0, 0, 0) for i in indices]
    np.testing.assert_array_equal(keypoints, expected)


def test_the_two_bodies_have_25_and_18_points():
    assert len(set(BODY_25)) == 25
    assert COCO_18[:8] == BODY_25[:8]
    assert COCO_18[8] == "right_hip"
    assert COCO_18[17] == "left_ear"


def test_hands_and_face_give_middle_fingers_and_chin_but_no_score(folder):
    person = openpose_files.person(
        openpose_files.body({0: (5, 6, 0.5), 8: (7, 8, 0.75)}),
        hand_left_keypoints_2d=openpose_files.numbered(200, 21),
        hand_right_keypoints_2d=openpose_files.numbered(300, 21),
        face_keypoints_2d=openpose_files.numbered(400, 70),
    )
    (found,) = read_people(openpose_files.write(folder, "a", person))
    keypoints = dict(zip(INFANT_21.names, select(found, sources(INFANT_21)), strict=True))
    np.testing.assert_array_equal(keypoints["left_middle_finger"], [212, 1212, 0.5])
    np.testing.assert_array_equal(keypoints["right_middle_finger"], [312, 1312, 0.5])
    np.testing.assert_array_equal(keypoints["chin"], [408, 1408, 0.5])
    assert sum(point.any() for point in keypoints.values()) == 3
    assert found.score == pytest.approx((0.5 + 0.75) / 25)


def test_the_score_is_a_sum_over_the_body_divided_by_its_number_of_points(folder):
    body = {1: (10, 20, 0.9), 5: (30, 40, 0.6)}
    people = [openpose_files.person(openpose_files.body(body, count)) for count in (25, 18)]
    found = read_people(openpose_files.write(folder, "a", *people))
    assert [person.score for person in found] == pytest.approx([1.5 / 25, 1.5 / 18])


def test_the_neck_does_not_stand_for_the_chest_of_a_set_that_has_a_neck(folder):
    both = KeypointSet("both", ("chest", "neck"), (), (), (0.1, 0.1), (0, 1))
    assert sources(both) == ("chest", "neck")
    assert "neck" in sources(INFANT_21)
    assert sources(COCO_17) == COCO_17.names


def test_fields_that_some_versions_leave_out_or_that_are_null_are_not_given(folder):
    (found,) = read_people(
        openpose_files.write(folder, "a", {"pose_keypoints_2d": [1.0] * 75, "face_keypoints_2d": None})
    )
    assert set(found.points) == set(BODY_25)


def test_files_of_coco_18_and_of_hands_are_recordings_too(folder):
    person = openpose_files.person(
        openpose_files.numbered(100, 18), hand_left_keypoints_2d=openpose_files.numbered(200, 21)
    )
    for frame in (3, 12):
        openpose_files.write(folder, f"film_{frame:012}", person)
    poses = openpose.read(folder, INFANT_21)
    assert poses.numbers.tolist() == [3, 12]
    keypoints = dict(zip(INFANT_21.names, poses.keypoints[1], strict=True))
    np.testing.assert_array_equal(keypoints["right_hip"], [108, 1108, 0.5])
    np.testing.assert_array_equal(keypoints["left_middle_finger"], [212, 1212, 0.5])
    assert not keypoints["chest"].any()  # The neck of a recording of ours is not its chest.


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "JSON"),
        (b"\xff\xfe\x00", "JSON"),
        ("[" * 100_000, "JSON"),
        ([], "people"),
        ({}, "people"),
        ({"people": {}}, "people"),
        ({"people": [3]}, "people"),
        ({"people": [{}]}, "pose_keypoints_2d has 0 numbers"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 45}]}, "pose_keypoints_2d has 45 numbers"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 74}]}, "pose_keypoints_2d"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 74 + [float("nan")]}]}, "pose_keypoints_2d"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 74 + ["1"]}]}, "pose_keypoints_2d"),
        ({"people": [{"pose_keypoints_2d": [0] * 74 + [10**400]}]}, "pose_keypoints_2d"),
        ({"people": [{"pose_keypoints_2d": "x"}]}, "pose_keypoints_2d"),
        ({"people": [{"pose_keypoints_2d": [0] * 75, "face_keypoints_2d": [0] * 63}]}, "face_keypoints_2d has 63"),
        ({"people": [{"pose_keypoints_2d": [0] * 75, "hand_left_keypoints_2d": [[]]}]}, "hand_left_keypoints_2d"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, content, part):
    file = tmp_path / "a_keypoints.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError) as raised:
        read_people(file)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    assert part in message
    assert "\n" not in message
    assert len(message) < 300 + len(str(file))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"/none_keypoints\.json: cannot be read"):
        read_people(tmp_path / "none_keypoints.json")
