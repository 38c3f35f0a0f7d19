"""Faults of boxes, keypoints, sides and bones of persons."""

import numpy as np
import pytest

from aggpose_jax.data.audit import anatomy
from aggpose_jax.data.audit.annotation_checks import check_persons, check_unlabelled
from aggpose_jax.data.audit.dataset import Persons
from aggpose_jax.pose.keypoints import INFANT_21

SIZE = (320, 240)
NAME = {name: k for k, name in enumerate(INFANT_21.names)}
# A supine infant seen from above with its head up, so that its left is on the right. The torso is 60 pixels long.
POINTS = {
    "eye": (10, 40), "shoulder": (24, 80), "elbow": (40, 100), "wrist": (50, 120), "middle_finger": (54, 128),
    "hip": (14, 140), "knee": (30, 160), "ankle": (26, 190), "toe": (30, 200),
}  # fmt: skip
MIDDLE = {"chin": (0, 60), "chest": (0, 85), "navel": (0, 120)}


def infant() -> np.ndarray:
    """Returns keypoints [21, 3] of the infant in the image, all visible."""
    keypoints = np.full((21, 3), 2.0)
    for part, (x, y) in POINTS.items():
        keypoints[NAME[f"left_{part}"], :2] = 160 + x, y
        keypoints[NAME[f"right_{part}"], :2] = 160 - x, y
    for name, (x, y) in MIDDLE.items():
        keypoints[NAME[name], :2] = 160 + x, y
    return keypoints


def persons_of(keypoints, boxes=None, **fields) -> Persons:
    """Returns persons with keypoints [N, 21, 3]; boxes are around them if not given."""
    keypoints = np.array(keypoints, np.float64)
    if boxes is None:
        boxes = [[100, 30, 120, 180]] * len(keypoints)
    image = {"id": 1, "file_name": "1.jpg", "width": SIZE[0], "height": SIZE[1]}
    annotations = [{"id": i + 1, "image_id": 1, **fields} for i in range(len(keypoints))]
    size = np.tile(np.array(SIZE, np.float64), (len(keypoints), 1))
    return Persons(
        "train", INFANT_21, [image] * len(keypoints), annotations, size, np.array(boxes, np.float64), keypoints
    )


def kinds(findings) -> list[str]:
    return [finding.kind for finding in findings]


def moved(name: str, x: float, y: float, visibility: float = 2) -> np.ndarray:
    keypoints = infant()
    keypoints[NAME[name]] = x, y, visibility
    return keypoints


def varied(count: int) -> list[np.ndarray]:
    """Returns infants of various sizes with limbs of slightly different lengths."""
    rng = np.random.default_rng(0)
    infants = []
    for _ in range(count):
        keypoints = infant()
        keypoints[:, :2] = (keypoints[:, :2] + rng.normal(0, 1.5, (21, 2)) - 160) * rng.uniform(0.6, 1) + 160
        infants.append(keypoints)
    return infants


def test_a_faultless_person_has_no_findings():
    persons = persons_of([infant()], num_keypoints=21)
    found = [*check_persons(persons), *check_unlabelled([persons]), *anatomy.check_sides(persons)]
    assert [*found, *anatomy.check_bones([persons])] == []


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([100, 30, 120, 180], []),
        ([100, 30, 0, 180], ["box_without_area"]),
        ([-5, 30, 225, 180], []),  # less than a tenth of the width
        ([90, 25, 310, 205], ["box_outside_image"]),  # right and lower border instead of width and height
        ([-160, 30, 120, 180], ["box_outside_image", "keypoint_outside_box"]),
        ([100, 30, 50, 180], ["keypoint_outside_box"]),
    ],
)
def test_boxes(box, expected):
    assert kinds(check_persons(persons_of([infant()], [box]))) == expected


@pytest.mark.parametrize(
    ("keypoints", "expected"),
    [
        (moved("left_wrist", 228, 100), []),  # less than a tenth outside of the box
        (moved("left_wrist", 240, 100), ["keypoint_outside_box"]),
        (moved("left_wrist", 240, 100, 1), []),  # occluded
        (moved("left_wrist", 240, 100, 0), []),
        (moved("right_wrist", 90, 100), []),
        (moved("right_wrist", 80, 100), ["keypoint_outside_box"]),
        (moved("left_toe", 160, 241.5, 1), ["keypoint_outside_image"]),
        (moved("left_toe", 160, 240, 1), []),
        (moved("left_toe", -30, 100, 1), ["keypoint_outside_image", "keypoint_outside_box"]),
    ],
)
def test_keypoints_outside(keypoints, expected):
    findings = check_persons(persons_of([keypoints]))
    assert kinds(findings) == expected
    assert all(INFANT_21.names[k] in f.text for f in findings for k in np.flatnonzero((keypoints != infant()).any(1)))


def test_num_keypoints_that_is_wrong():
    persons = persons_of([moved("chin", 0, 0, 0)], num_keypoints=21)
    (finding,) = check_persons(persons)
    assert finding.kind == "wrong_num_keypoints"
    assert "21" in finding.text
    assert "20" in finding.text


def test_an_unlabelled_person_is_found_unless_there_are_many():
    unlabelled = np.zeros((21, 3))
    few, many = persons_of([unlabelled] + [infant()] * 4), persons_of([unlabelled] * 2 + [infant()] * 4)
    (finding,) = check_unlabelled([few])
    assert (finding.kind, finding.annotation_id) == ("unlabelled_person", 1)
    assert list(check_unlabelled([many])) == []
    assert len(list(check_unlabelled([many, persons_of([infant()] * 4)]))) == 2


def test_a_keypoint_that_is_never_labelled_is_found_in_20_persons():
    without = moved("navel", 0, 0, 0)
    (finding,) = check_persons(persons_of([without] * 20))
    assert (finding.kind, finding.annotation_id) == ("keypoint_never_labelled", None)
    assert "navel" in finding.text
    assert check_persons(persons_of([without] * 19)) == []
    assert check_persons(persons_of([without] * 20 + [infant()])) == []


def exchanged(*parts: str) -> np.ndarray:
    keypoints = infant()
    for part in parts:
        pair = [NAME[f"left_{part}"], NAME[f"right_{part}"]]
        keypoints[pair] = keypoints[pair[::-1]]
    return keypoints


def rotated(keypoints: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = keypoints.copy()
    turned[:, :2] = (keypoints[:, :2] - 160) @ [[cosine, sine], [-sine, cosine]] + 160
    return turned


def narrowed(keypoints: np.ndarray, factor: float) -> np.ndarray:
    """Returns keypoints as they are nearer to a side view."""
    turned = keypoints.copy()
    turned[:, 0] = 160 + factor * (keypoints[:, 0] - 160)
    return turned


@pytest.mark.parametrize("degrees", [0, 90, 200])
@pytest.mark.parametrize(
    ("keypoints", "is_found"),
    [
        (infant(), False),
        (exchanged("hip"), True),
        (exchanged("shoulder"), True),
        (exchanged("hip", "knee", "ankle", "toe"), True),
        (exchanged("shoulder", "hip"), False),
        (exchanged(*POINTS), False),  # prone, or seen from behind
        (exchanged("knee", "wrist"), False),  # legs and arms may cross
        (narrowed(exchanged("hip"), 0.3), False),
    ],
)
def test_sides_that_disagree_at_shoulders_and_hips(keypoints, is_found, degrees):
    findings = kinds(anatomy.check_sides(persons_of([rotated(keypoints, degrees)])))
    assert findings == ["sides_swapped"] * is_found


def test_sides_are_not_compared_if_a_keypoint_is_unlabelled():
    keypoints = exchanged("hip")
    keypoints[NAME["left_hip"], 2] = 0
    assert list(anatomy.check_sides(persons_of([keypoints]))) == []


def test_a_bone_of_more_than_two_torso_lengths_is_found_in_one_person():
    assert list(anatomy.check_bones([persons_of([moved("left_toe", 186, 300)])])) == []
    (finding,) = anatomy.check_bones([persons_of([moved("left_toe", 186, 320)])])
    assert finding.kind == "implausible_bone"
    assert "left_ankle to left_toe" in finding.text


def test_a_bone_far_longer_than_in_other_persons_is_found():
    wrong = moved("left_toe", 186, 250)  # six times as long as usual, but only one torso length
    assert list(anatomy.check_bones([persons_of([*varied(18), wrong])])) == []
    groups = [persons_of(varied(15)), persons_of([*varied(15), wrong])]  # All splits count together.
    (finding,) = anatomy.check_bones(groups)
    assert finding.annotation_id == 16
    assert "left_ankle to left_toe" in finding.text


def test_a_misplaced_shoulder_is_found_though_it_lengthens_the_torso():
    wrong = moved("left_shoulder", 318, 10)
    findings = list(anatomy.check_bones([persons_of([*varied(30), wrong])]))
    assert [finding.annotation_id for finding in findings] == [31]


def test_a_torso_that_points_to_the_camera_and_short_bones_are_no_faults():
    sitting = infant()
    upper = [k for k, y in enumerate(sitting[:, 1]) if y <= 130]
    sitting[upper, 1] += 45  # The shoulders are 15 instead of 60 pixels above the hips.
    short = moved("left_wrist", 200, 100)  # on the elbow
    assert list(anatomy.check_bones([persons_of([*varied(30), sitting, short])])) == []


def test_unlabelled_keypoints_and_torsos_without_length_are_no_bones():
    keypoints = moved("left_toe", 5000, 5000, 0)
    flat = infant()
    flat[:, :2] = 5
    assert list(anatomy.check_bones([persons_of([keypoints, flat, np.zeros((21, 3))])])) == []
    assert list(anatomy.check_sides(persons_of([flat]))) == []
