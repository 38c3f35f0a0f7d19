"""What is found in a complete data set: nothing in clean data, and each fault that is planted."""

import shutil

import pytest

from aggpose_jax.data.audit import audit_directory
from aggpose_jax.data.audit.findings import KINDS
from aggpose_jax.errors import UserError


def test_nothing_is_found_in_clean_synthetic_data(drawn):
    audit = audit_directory(drawn)
    assert audit.findings == []
    assert list(audit.sizes()) == ["train", "val", "test"]
    assert audit.sizes()["train"] == {
        "images": 22,
        "images_without_annotation": 0,
        "persons": 22,
        "unlabelled_persons": 0,
    }


def test_nothing_is_found_in_images_of_coco(test_data):
    audit = audit_directory(test_data / "coco_mini")
    assert audit.findings == []
    assert audit.sizes()["train2017"]["unlabelled_persons"] == 56  # counted, and not a fault, as they are many


def test_faults_of_all_kinds_are_found_together(dataset, edited):
    with edited("val") as coco:
        images, annotations = coco["images"], coco["annotations"]
        images[0]["video_id"] = images[1]["infant_id"] = 5
        del images[2]["height"]
        images[3]["width"] = 100
        annotations[0]["num_keypoints"] = 3
        annotations[1]["keypoints"][0] = float("nan")
        annotations[3]["bbox"][2] = 0
        annotations[4]["id"] = annotations[3]["id"]
    with edited("train") as coco:
        coco["images"][0]["video_id"] = coco["images"][1]["infant_id"] = 5
        coco["annotations"][2]["keypoints"].pop()
    (dataset / "test" / coco["images"][0]["file_name"]).unlink()
    shutil.copy(dataset / "train" / coco["images"][0]["file_name"], dataset / "test" / "new.jpg")
    audit = audit_directory(dataset)
    assert audit.counts() == {
        "video_in_two_splits": 1,
        "infant_in_two_splits": 1,
        "duplicate_id": 1,
        "invalid_entry": 2,
        "not_finite": 1,
        "missing_image": 1,
        "wrong_size": 1,
        "unlisted_files": 1,
        "box_without_area": 1,
        "keypoint_outside_image": 1,
        "wrong_num_keypoints": 1,
    }
    assert [list(KINDS).index(finding.kind) for finding in audit.findings] == sorted(
        list(KINDS).index(finding.kind) for finding in audit.findings
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"images": {}}', '{"images": 1, "annotations": []}'])
def test_a_split_that_cannot_be_read_is_a_finding_and_the_others_are_audited(dataset, edited, content):
    (dataset / "annotations" / "person_keypoints_test.json").write_text(content)
    with edited("val") as coco:
        coco["annotations"][0]["bbox"][3] = 0
    audit = audit_directory(dataset)
    assert audit.counts() == {"unreadable_split": 1, "box_without_area": 1}
    assert "person_keypoints_test.json" in audit.findings[0].text
    assert list(audit.sizes()) == ["train", "val"]


def test_a_split_without_its_folder_of_images_is_one_finding(dataset):
    shutil.rmtree(dataset / "val")
    audit = audit_directory(dataset)
    assert audit.counts() == {"unreadable_split": 1}
    assert str(dataset / "val") in audit.findings[0].text


def test_an_empty_split_has_no_findings(dataset, edited):
    with edited("test") as coco:
        coco["images"], coco["annotations"] = [], []
    shutil.rmtree(dataset / "test")
    (dataset / "test").mkdir()
    audit = audit_directory(dataset)
    assert audit.findings == []
    assert audit.sizes()["test"]["images"] == 0


def test_only_the_named_splits_are_audited(dataset, edited):
    with edited("val") as coco:
        coco["annotations"][0]["bbox"][3] = 0
    assert audit_directory(dataset, ["train", "test"]).findings == []
    assert audit_directory(dataset, ["val"]).counts() == {"box_without_area": 1}
    assert audit_directory(dataset, ["val", "absent"]).counts() == {"unreadable_split": 1, "box_without_area": 1}


def test_a_directory_without_a_readable_split_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"absent is not a folder"):
        audit_directory(tmp_path / "absent")
    with pytest.raises(UserError, match=r"has no annotations"):
        audit_directory(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "person_keypoints_train.json").write_text("{")
    with pytest.raises(UserError, match=r"person_keypoints_train\.json is not valid JSON"):
        audit_directory(tmp_path)
