"""COCO keypoint files of this package and of other tools."""

import json

import numpy as np
import pytest
from label_sets import assert_same, make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels import coco
from aggpose_jax.labels.label_set import in_keypoint_set
from aggpose_jax.pose.keypoints import INFANT_21


def test_what_is_written_is_read_back_with_ids(tmp_path):
    labels = make_labels()
    coco.write(labels, tmp_path)
    found = coco.read(tmp_path)
    assert_same(labels, found)
    assert [image.fields for image in found.images] == [image.fields for image in labels.images]
    assert found.keypoint_set.names == INFANT_21.names
    assert found.folder == tmp_path / "images"


def test_another_order_of_keypoints_is_mapped_by_name(tmp_path):
    labels = make_labels()
    coco.write(labels, tmp_path)
    content = json.loads((tmp_path / "annotations.json").read_text())
    order = np.random.default_rng(1).permutation(21)
    content["categories"][0]["keypoints"] = [INFANT_21.names[k] for k in order]
    content["categories"][0]["skeleton"] = []
    for annotation in content["annotations"]:
        annotation["keypoints"] = np.reshape(annotation["keypoints"], (-1, 3))[order].ravel().tolist()
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    found, left_out = in_keypoint_set(coco.read(tmp_path), INFANT_21)
    assert_same(labels, found)
    assert left_out == []


def test_images_of_a_split_lie_in_its_folder(tmp_path):
    file = tmp_path / "annotations" / "person_keypoints_val.json"
    assert coco.image_folder(file) == tmp_path / "val"
    assert coco.image_folder(tmp_path / "a.json") == tmp_path / "images"


def test_faults_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.json"):
        coco.read(tmp_path / "none.json")
    coco.write(make_labels(), tmp_path)
    content = json.loads((tmp_path / "annotations.json").read_text())

    def read(**changes):
        (tmp_path / "a.json").write_text(json.dumps(content | changes))
        return coco.read(tmp_path / "a.json")

    assert read(categories=[]).keypoint_set.names == INFANT_21.names  # as many as one set of the package has
    shorter = [{**a, "keypoints": a["keypoints"][:9]} for a in content["annotations"]]
    with pytest.raises(UserError, match="--keypoint-set"):
        read(categories=[], annotations=shorter)
    with pytest.raises(UserError, match=r"annotation 1 has 3 keypoints.* 21"):
        read(annotations=shorter)
    other = {"id": 2, "name": "cat", "keypoints": ["tail"], "skeleton": []}
    second = {**content["annotations"][0], "id": 99, "category_id": 2}
    with pytest.raises(UserError, match="person and cat have different"):
        read(categories=[*content["categories"], other], annotations=[*content["annotations"], second])
    twice = [{**image, "file_name": "a.png"} for image in content["images"]]
    with pytest.raises(UserError, match=r"a\.png is labelled twice"):
        read(images=twice)
    (tmp_path / "a.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        coco.read(tmp_path / "a.json")
