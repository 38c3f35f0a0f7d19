"""Valid, invalid and malicious files of annotations and detections."""

import json
import re

import pytest

from aggpose_jax.data.annotations import read_annotations, read_detections, read_results
from aggpose_jax.errors import UserError

IMAGE = {"id": 5, "file_name": "five.jpg", "height": 50, "width": 100}
ANNOTATION = {"id": 7, "image_id": 5, "bbox": [10, 20.5, 31, 41], "keypoints": [1, 2, 2, 3.5, 4, 1], "area": 100.5}
DETECTION = {"image_id": 5, "category_id": 1, "bbox": [-4.5, 3, 200, 10], "score": 0.25}
NAN, INFINITE = float("nan"), float("inf")


def error_message(read, content, path) -> str:
    """Writes a file, checks that reading it raises a UserError of one short line, and returns the message."""
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=re.escape(str(path))) as raised:
        read(path)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))
    return message


def annotated(image=(), annotation=(), more_images=(), more_annotations=()) -> dict:
    """Returns a file of one image and one annotation with the given fields, and more entries."""
    images = [IMAGE | dict(image), *more_images]
    return {"images": images, "annotations": [ANNOTATION | dict(annotation), *more_annotations]}


def test_valid_files_are_returned_unchanged(tmp_path):
    path = tmp_path / "good.json"
    content = annotated(
        {"file_name": "folder/..five.jpg"},
        {"iscrowd": 0, "bbox": [0, 0, 0, 0]},
        [IMAGE | {"id": -1}],
        [ANNOTATION | {"id": 8}],
    )
    path.write_text(json.dumps(content))
    assert read_annotations(path) == content
    assert read_annotations(path, names=("a", "b")) == content | {"left_out": 0}
    path.write_text(json.dumps([DETECTION, DETECTION]))
    assert read_detections(path) == [DETECTION, DETECTION]


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../secret.jpg",
        "a/../../secret.jpg",
        "..",
        ".",
        "",
        "a\0.jpg",
        "\ud800.jpg",
        "/a\nb",
        5,
        ["a.jpg"],
        "/" * 10**6,
    ],
)
def test_file_names_outside_the_image_folder_are_rejected(tmp_path, name):
    assert "image 5 has the file_name" in error_message(
        read_annotations, annotated({"file_name": name}), tmp_path / "a.json"
    )


@pytest.mark.parametrize("number", [NAN, INFINITE, -INFINITE, 1e39, 10**400, "1", None, [1], {}, True])
@pytest.mark.parametrize("key", ["bbox", "keypoints"])
def test_coordinates_that_are_not_finite_numbers_are_rejected(tmp_path, key, number):
    values = [*ANNOTATION[key][:-1], number]
    if number is True:  # NumPy converts a bool in a list of numbers to 1, so all values must be bool.
        values = [True] * len(values)
    message = error_message(read_annotations, annotated(annotation={key: values}), tmp_path / "a.json")
    assert f"annotation 7 has the {key} " in message


def test_numbers_beyond_the_range_of_floats_are_rejected(tmp_path):
    content = json.dumps(annotated()).replace("100.5", "1e400")
    assert "annotation 7 has the area inf" in error_message(read_annotations, content, tmp_path / "a.json")
    assert "JSON" in error_message(read_annotations, "1" * 5000, tmp_path / "a.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bbox": [1, 2, -3, 4]}, "annotation 7 has the bbox [1, 2, -3, 4]"),
        ({"bbox": "1234"}, "annotation 7 has the bbox '1234'"),
        ({"bbox": [[1, 2], [3]]}, "annotation 7 has the bbox"),
        ({"keypoints": [1, 2, 2, 3]}, "annotation 7 has the keypoints"),
        ({"keypoints": [[1, 2, 2]]}, "annotation 7 has the keypoints"),
        ({"keypoints": {"a": 1}}, "annotation 7 has the keypoints"),
        ({"area": NAN}, "annotation 7 has the area nan"),
        ({"area": -1}, "annotation 7 has the area -1"),
        ({"area": "large"}, "annotation 7 has the area 'large'"),
        ({"iscrowd": "0"}, "annotation 7 has iscrowd '0'"),
        ({"id": "7"}, "annotation '7' has the id '7'"),
        ({"id": 7.0}, "annotation 7.0 has the id 7.0"),
        ({"id": 2**63}, "has the id"),
        ({"id": [7]}, "annotation [7] has the id [7]"),
        ({"id": None}, "annotation number 0 lacks id"),
        ({"image_id": "5"}, "annotation 7 has the image_id '5'"),
        ({"image_id": {}}, "annotation 7 has the image_id {}"),
        ({"image_id": 6}, "annotation 7 has the image_id 6"),
        ({"bbox": None, "keypoints": None}, "annotation 7 lacks bbox, keypoints"),
    ],
)
def test_invalid_annotations_are_rejected(tmp_path, fields, message):
    assert message in error_message(read_annotations, annotated(annotation=fields), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "5"}, "image '5' has the id '5'"),
        ({"id": True}, "image True has the id True"),
        ({"height": 0}, "image 5 has the height 0"),
        ({"width": -4}, "image 5 has the width -4"),
        ({"width": NAN}, "image 5 has the width nan"),
        ({"height": "50"}, "image 5 has the height '50'"),
        ({"file_name": None}, "image 5 lacks file_name"),
    ],
)
def test_invalid_images_are_rejected(tmp_path, fields, message):
    assert message in error_message(read_annotations, annotated(fields), tmp_path / "a.json")


@pytest.mark.parametrize("more", ["more_images", "more_annotations"])
def test_duplicate_ids_are_rejected(tmp_path, more):
    duplicate = IMAGE if more == "more_images" else ANNOTATION
    message = f"{more.removeprefix('more_').rstrip('s')} {duplicate['id']} occurs twice"
    assert message in error_message(read_annotations, annotated(**{more: [duplicate]}), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bbox": [0, 0, NAN, 1]}, "detection number 1 has the bbox"),
        ({"bbox": [0, 0, -1, 1]}, "detection number 1 has the bbox"),
        ({"score": INFINITE}, "detection number 1 has the score inf"),
        ({"score": "high"}, "detection number 1 has the score 'high'"),
        ({"image_id": [5]}, "detection number 1 has the image_id [5]"),
        ({"category_id": None}, "detection number 1 lacks category_id"),
    ],
)
def test_invalid_detections_are_rejected(tmp_path, fields, message):
    assert message in error_message(read_detections, [DETECTION, DETECTION | fields], tmp_path / "a.json")


@pytest.mark.parametrize("read", [read_annotations, read_detections])
@pytest.mark.parametrize("content", ["[" * 10**5, '{"images": ' * 10**5, "", "{", "\udcff", "[1]", "3"])
def test_files_of_another_format_are_rejected(tmp_path, read, content):
    path = tmp_path / "a.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(UserError, match=r"a\.json"):
        read(path)


def test_a_folder_instead_of_a_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="Is a directory"):
        read_annotations(tmp_path)


TRUTH = {"images": [{"id": 5}, {"id": 6}], "annotations": [{"category_id": 3}, {"category_id": None}, {}]}
RESULT = {"image_id": 5, "category_id": 1, "keypoints": [1, 2, 0.5, 3, 4.5, 0.25], "score": 0.75}


def test_results_keep_only_the_fields_of_keypoint_results(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([RESULT, RESULT | {"category_id": 3, "bbox": [0, 0, 1, 1], "file_name": "a.jpg"}]))
    assert read_results(path, TRUTH, 2) == [RESULT, RESULT]
    path.write_text("[]")
    assert read_results(path, TRUTH, 2) == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"image_id": 7}, ["image_id 7"]),
        ({"image_id": "5"}, ["image_id '5'"]),
        ({"image_id": None}, ["lacks image_id"]),
        ({"score": None, "keypoints": None}, ["lacks keypoints, score"]),
        ({"category_id": 2}, ["category_id 2"]),
        ({"category_id": None}, ["lacks category_id"]),
        ({"score": NAN}, ["score nan"]),
        ({"score": "1"}, ["score '1'"]),
        ({"keypoints": [1, 2, 3]}, ["has 1 keypoints", "has 2"]),
        ({"keypoints": []}, ["has 0 keypoints", "has 2"]),
        ({"keypoints": [1, 2, 3, 4]}, ["keypoints [1, 2, 3, 4]"]),
        ({"keypoints": [1, 2, 3, 4, NAN, 6]}, ["keypoints", "nan"]),
        ({"keypoints": [1, 2, 3, 4, INFINITE, 6]}, ["keypoints", "inf"]),
        ({"keypoints": [1, 2, 3, 4, None, 6]}, ["keypoints", "None"]),
        ({"keypoints": "abc"}, ["keypoints 'abc'"]),
    ],
)
def test_an_invalid_result_is_named_by_its_index(tmp_path, change, parts):
    message = error_message(lambda p: read_results(p, TRUTH, 2), [RESULT, RESULT | {"id": 9} | change], tmp_path / "r")
    assert "result number 1 " in message
    assert all(part in message for part in parts)


@pytest.mark.parametrize("content", ["{", {"annotations": []}, [3]])
def test_a_file_that_is_no_list_of_results_is_named(tmp_path, content):
    error_message(lambda path: read_results(path, TRUTH, 2), content, tmp_path / "results.json")
