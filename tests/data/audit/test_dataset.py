"""Reading a split as far as it is valid."""

import json

import pytest

from aggpose_jax.data.audit.dataset import persons, read_split
from aggpose_jax.pose.keypoints import COCO_17


def image(id=1, **fields):
    return {"id": id, "file_name": f"{id}.jpg", "height": 8, "width": 8, **fields}


def annotation(id=1, image_id=1, **fields):
    return {"id": id, "image_id": image_id, "category_id": 1, "bbox": [0, 0, 4, 4], "keypoints": [1, 1, 2], **fields}


CATEGORY = {"id": 1, "name": "person", "keypoints": ["nose"]}


def read(folder, images, annotations, categories=(CATEGORY,)):
    (folder / "annotations").mkdir()
    coco = {"images": images, "annotations": annotations, "categories": list(categories)}
    (folder / "annotations" / "person_keypoints_a.json").write_text(json.dumps(coco))
    return read_split(folder, "a")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (image(1), "duplicate_id"),
        (image(2, height=0), "invalid_entry"),
        (image(2, file_name="../b/2.jpg"), "invalid_entry"),
        (image(2, width=float("nan")), "not_finite"),
        (image("2"), "invalid_entry"),
        (None, "invalid_entry"),
        ([1], "invalid_entry"),
    ],
)
def test_a_faulty_image_is_a_finding_and_the_others_are_read(tmp_path, entry, kind):
    split, (finding,) = read(tmp_path, [image(1), entry, image(3)], [annotation(1, 3)])
    assert finding.kind == kind
    assert [one["id"] for one in split.images] == [1, 3]
    assert len(split.annotations) == 1


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (annotation(1), "duplicate_id"),
        (annotation(2, 7), "invalid_entry"),
        (annotation(2, bbox=[0, 0, 4]), "invalid_entry"),
        (annotation(2, bbox=["0", 0, 4, -1]), "invalid_entry"),
        (annotation(2, bbox=[0, 0, 4, -1]), "box_without_area"),
        (annotation(2, bbox=[0, 0, 4, float("inf")]), "not_finite"),
        (annotation(2, keypoints=[1, float("nan"), 2]), "not_finite"),
        (annotation(2, keypoints=[1, 1]), "invalid_entry"),
        (annotation(2, keypoints=[1, 1, 2, 1, 1, 2]), "wrong_keypoint_count"),
        (annotation(2, keypoints=[]), "wrong_keypoint_count"),
        (annotation(2, category_id=9), "invalid_entry"),
        (annotation(2, category_id="1"), "invalid_entry"),
        (annotation(None), "invalid_entry"),
        ("text", "invalid_entry"),
    ],
)
def test_a_faulty_annotation_is_a_finding_and_the_others_are_read(tmp_path, entry, kind):
    split, (finding,) = read(tmp_path, [image(1)], [annotation(1), entry, annotation(3)])
    assert finding.kind == kind
    assert [one["id"] for one in split.annotations] == [1, 3]


def test_the_persons_of_an_invalid_image_are_no_findings_and_are_left_out(tmp_path):
    split, findings = read(tmp_path, [image(1, height=0)], [annotation(1)])
    assert [finding.kind for finding in findings] == ["invalid_entry"]
    assert persons(split) == []


def test_crowds_and_categories_without_keypoints_are_left_out(tmp_path):
    annotations = [annotation(1), annotation(2, iscrowd=1), {"id": 3, "image_id": 1, "category_id": 2}]
    split, findings = read(tmp_path, [image(1)], annotations, [CATEGORY, {"id": 2, "name": "bed"}])
    assert findings == []
    (group,) = persons(split)
    assert [one["id"] for one in group.annotation] == [1]


def test_without_names_the_most_common_number_of_keypoints_counts(tmp_path):
    annotations = [annotation(id, keypoints=[1, 1, 2] * (2 if id == 2 else 3)) for id in range(1, 5)]
    split, (finding,) = read(tmp_path, [image(1)], annotations, [])
    assert (finding.kind, finding.annotation_id) == ("wrong_keypoint_count", 2)
    (group,) = persons(split)
    assert group.keypoints.shape == (3, 3, 3)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, COCO_17.skeleton), ({"skeleton": [[1, 2], [2, 18], "x"]}, ((0, 1),)), ({"skeleton": 3}, COCO_17.skeleton)],
)
def test_the_skeleton_is_that_of_the_category_or_of_the_known_set(tmp_path, fields, expected):
    names = [name.replace("_", " ").title() for name in COCO_17.names]
    split, _ = read(tmp_path, [image(1)], [], [CATEGORY | {"keypoints": names} | fields])
    assert split.keypoint_sets[1].names == COCO_17.names
    assert split.keypoint_sets[1].flip_pairs == COCO_17.flip_pairs
    assert split.keypoint_sets[1].skeleton == expected
