"""Records of COCO keypoints, from annotations and from detections."""

import json

import numpy as np
import pytest

from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet

DOTS = KeypointSet("dots", ("a", "b", "c"), (), (), (0.1,) * 3, (0,))


def annotation(number: int, **changes) -> dict:
    keypoints = [1, 2, 2, 21, 12, 1, 0, 0, 0]
    base = {"id": number, "image_id": 5, "category_id": 1, "bbox": [10, 20, 31, 41], "area": 100.5, "iscrowd": 0}
    return {**base, "num_keypoints": 2, "keypoints": keypoints, **changes}


def write(directory, annotations: list[dict], detections: list[dict] | None = None):
    """Writes the split "tiny" of two images of 100 × 50 pixels, the second with video_id and frame."""
    images = [
        {"id": 5, "file_name": "five.jpg", "height": 50, "width": 100},
        {"id": 9, "file_name": "nine.jpg", "height": 50, "width": 100, "video_id": 3, "frame": 7},
    ]
    (directory / "annotations").mkdir()
    (directory / "tiny").mkdir()
    coco = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (directory / "annotations/person_keypoints_tiny.json").write_text(json.dumps(coco))
    (directory / "found.json").write_text(json.dumps(detections))
    return directory


def test_the_record_of_an_annotation(tmp_path):
    source = CocoKeypoints(write(tmp_path, [annotation(7)]), "tiny", DOTS)
    assert len(source) == 1
    record = source[0]
    assert record["image"] == str(tmp_path / "tiny/five.jpg")
    assert record["box"].tolist() == [10, 20, 30, 29]  # clipped to y ≤ 49
    assert record["box"].dtype == record["keypoints"].dtype == np.float32
    assert record["keypoints"].tolist() == [[1, 2, 2], [21, 12, 1], [0, 0, 0]]
    assert (record["image_id"], record["id"], record["area"], record["score"]) == (5, 7, 100.5, 1.0)
    assert not {"video_id", "frame"} & set(record)


def test_crowds_and_persons_without_keypoints_or_box_are_excluded(tmp_path):
    annotations = [
        annotation(3),
        annotation(4, iscrowd=1),
        annotation(5, keypoints=[1, 2, 0] * 3),
        annotation(6, area=0, keypoints=[1, 2, 2] + [0] * 6, bbox=[10, 20, 0, 41]),
        annotation(7, bbox=[100, 0, 10, 10]),
        annotation(2, image_id=9),
    ]
    source = CocoKeypoints(write(tmp_path, annotations), "tiny", DOTS)
    assert [record["id"] for record in map(source.__getitem__, range(len(source)))] == [3, 2]
    truth = source.ground_truth()["annotations"]
    assert [a["id"] for a in truth] == [3, 4, 5, 6, 7, 2]
    # What does not count in training does not count in evaluation either.
    assert [a["num_keypoints"] for a in truth] == [2, 2, 0, 0, 0, 2]
    assert [any(a["keypoints"][2::3]) for a in truth] == [True, True, False, False, False, True]


def test_records_have_the_video_and_frame_of_their_image(tmp_path):
    source = CocoKeypoints(write(tmp_path, [annotation(3, image_id=9)]), "tiny", DOTS)
    assert (source[0]["video_id"], source[0]["frame"]) == (3, 7)


def test_a_missing_area_and_one_of_zero_are_estimated(tmp_path):
    without_area = annotation(1)
    del without_area["area"]
    one_point = annotation(3, area=0, keypoints=[12, 22, 2] + [0] * 6)
    source = CocoKeypoints(write(tmp_path, [without_area, annotation(2, area=0), one_point]), "tiny", DOTS)
    expected = [0.53 * 20 * 10, 0.53 * 20 * 10, 0.53 * 31 * 41]
    assert [source[i]["area"] for i in range(3)] == pytest.approx(expected)
    assert [a["area"] for a in source.ground_truth()["annotations"]] == pytest.approx(expected)


def test_every_visibility_of_a_file_counts_as_0_1_or_2(tmp_path):
    person = annotation(1, keypoints=[1, 2, -1, 21, 12, 3, 5, 6, 0.4])
    source = CocoKeypoints(write(tmp_path, [person]), "tiny", DOTS)
    assert source[0]["keypoints"][:, 2].tolist() == [0, 2, 1]
    (truth,) = source.ground_truth()["annotations"]
    assert (truth["keypoints"][2::3], truth["num_keypoints"]) == ([0, 2, 1], 2)


DOT_NAMES = {"id": 1, "name": "infant", "keypoints": ["A", "b", "c"]}
PUPPET = {"id": 2, "name": "puppet", "keypoints": ["a", "b", "d"]}
TOY = {"id": 3, "name": "toy"}


def with_categories(directory, categories, annotations):
    """Writes the split "tiny" with these categories and annotations."""
    file = write(directory, annotations) / "annotations/person_keypoints_tiny.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"categories": categories}))
    return directory


def test_annotations_of_other_categories_are_left_out_and_counted(tmp_path):
    puppet = annotation(2, category_id=2, keypoints=[1, 2, 2, 5, 6, 2, 8, 9, 2])
    toy = {"id": 3, "image_id": 5, "category_id": 3, "bbox": [1, 2, 3, 4]}
    source = CocoKeypoints(
        with_categories(tmp_path, [DOT_NAMES, PUPPET, TOY], [annotation(1), puppet, toy]), "tiny", DOTS
    )
    assert [a["id"] for a in source.ground_truth()["annotations"]] == [1]
    assert len(source) == 1
    assert source.counts()["annotations of other categories left out"] == 2


def test_several_categories_with_the_same_keypoints_need_a_choice(tmp_path):
    twin = DOT_NAMES | {"id": 4, "name": "twin"}
    directory = with_categories(tmp_path, [DOT_NAMES, twin], [annotation(1), annotation(2, category_id=4)])
    with pytest.raises(UserError, match=r"tiny\.json: .*infant and twin .*--config\.category"):
        CocoKeypoints(directory, "tiny", DOTS)
    assert CocoKeypoints(directory, "tiny", DOTS, category="twin")[0]["id"] == 2
    with pytest.raises(UserError, match=r"named tvin; give one of infant, twin"):
        CocoKeypoints(directory, "tiny", DOTS, category="tvin")


@pytest.mark.parametrize("names", [["a", "c", "b"], ["a", "b"], ["x", "y", "z"]])
def test_a_file_whose_only_keypoints_are_others_or_in_another_order_is_refused(tmp_path, names):
    directory = with_categories(tmp_path, [DOT_NAMES | {"keypoints": names}], [annotation(1)])
    with pytest.raises(UserError, match=rf"no category has the 3 keypoints a, b, c; .* {', '.join(names)}\)"):
        CocoKeypoints(directory, "tiny", DOTS)


def test_ground_truth_equals_the_file_without_masks(tmp_path):
    source = CocoKeypoints(write(tmp_path, [annotation(1, segmentation=[[1, 2, 3, 4]])]), "tiny", DOTS)
    ground_truth = source.ground_truth()
    assert ground_truth["annotations"] == [annotation(1)]
    assert [image["id"] for image in ground_truth["images"]] == [5, 9]


def test_the_records_of_detections(tmp_path):
    detection = {"image_id": 9, "category_id": 1, "bbox": [-4.5, 3, 200, 10], "score": 0.25}
    detections = [
        detection, {**detection, "category_id": 2}, {**detection, "image_id": 6},
        {**detection, "image_id": 5, "score": 0.001},
    ]  # fmt: skip
    directory = write(tmp_path, [annotation(1)], detections)
    source = CocoKeypoints(directory, "tiny", DOTS, detections=directory / "found.json")
    assert len(source) == 2
    assert source[0]["box"].tolist() == [-4.5, 3, 200, 10]  # not clipped
    assert (source[0]["score"], source[0]["image_id"], source[0]["frame"]) == (0.25, 9, 7)
    assert source[0]["keypoints"].tolist() == [[0, 0, 0]] * 3
    assert source[1]["score"] == pytest.approx(0.001)
    assert source[0]["id"] != source[1]["id"]
    assert len(source.ground_truth()["annotations"]) == 1


def test_the_error_of_missing_files_gives_the_layout_and_a_command_without_data(tmp_path):
    for directory in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError) as error:
            CocoKeypoints(directory, "val2017", COCO_17)
        assert "annotations/person_keypoints_val2017.json" in str(error.value)
        assert "val2017/*.jpg" in str(error.value)
        assert "python -m aggpose_jax.main --config synthetic" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        ("[]", "images and annotations"),
        ('{"images": []}', "images and annotations"),
        ('{"images": [{"id": 5}], "annotations": []}', "image 5 lacks file_name, height, width"),
        ('{"images": [], "annotations": [3]}', "annotation number 0"),
        ('{"images": [], "annotations": []}', "no person"),
    ],
)
def test_invalid_annotation_files_are_rejected(tmp_path, content, message):
    write(tmp_path, [])
    (tmp_path / "annotations/person_keypoints_tiny.json").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        CocoKeypoints(tmp_path, "tiny", DOTS)
    assert "person_keypoints_tiny.json" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": None}, "annotation 8 lacks keypoints"),
        ({"keypoints": [1, 2, 2] * 4}, "annotation 8 has 4 keypoints.* 3"),
        ({"bbox": [1, 2, 3]}, r"annotation 8 has the bbox \[1, 2, 3\]"),
        ({"image_id": 6}, "annotation 8 has the image_id 6"),
        ({"keypoints": [1, 2, 0] * 3}, "labelled keypoint"),
    ],
)
def test_invalid_annotations_are_rejected(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        CocoKeypoints(write(tmp_path, [annotation(8, **changes)]), "tiny", DOTS)


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (None, "list"),
        ([{"image_id": 5, "category_id": 1, "bbox": [0, 0, 9, 9]}], "detection number 0 lacks score"),
        ([], "no person"),
    ],
)
def test_invalid_detection_files_are_rejected(tmp_path, detections, message):
    directory = write(tmp_path, [annotation(1)], detections)
    with pytest.raises(UserError, match=message) as error:
        CocoKeypoints(directory, "tiny", DOTS, detections=directory / "found.json")
    assert "found.json" in str(error.value)


def test_a_missing_detection_file_is_an_error(tmp_path):
    directory = write(tmp_path, [annotation(1)])
    with pytest.raises(UserError, match=r"absent\.json .*No such file"):
        CocoKeypoints(directory, "tiny", DOTS, detections=directory / "absent.json")


def test_real_annotations_and_detections(test_data):
    directory = test_data / "coco_mini"
    source = CocoKeypoints(directory, "val2017", COCO_17)
    assert len(source) == 12
    assert len(source.ground_truth()["annotations"]) == 14
    detections = directory / "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
    assert len(CocoKeypoints(directory, "val2017", COCO_17, detections=detections)) == 118
    with pytest.raises(UserError, match=r"21 keypoints .* 17 keypoints nose, left_eye, "):
        CocoKeypoints(directory, "val2017", INFANT_21)
