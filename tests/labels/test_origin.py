"""The file from which an import restores the ids of exported labels."""

import pytest
from label_sets import make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels import origin
from aggpose_jax.pose.keypoints import INFANT_21


def test_fields_are_restored_by_the_file_or_its_name(tmp_path):
    labels = make_labels(files=["a/x.png", "b/x.png", "b/y.png", "z.png"])
    origin.write(labels, tmp_path)
    found = origin.read(tmp_path / "annotations.xml")
    assert found.keypoint_set == INFANT_21
    assert found == origin.read(tmp_path)
    moved = [image._replace(fields={}) for image in labels.images]
    moved[1:] = [moved[1]._replace(file="c/x.png"), moved[2]._replace(file="y.png"), moved[3]]
    restored = origin.restore(labels._replace(images=tuple(moved)), found).images
    assert restored[0].fields == labels.images[0].fields
    assert restored[1].fields == {}  # There were two images of this name.
    assert restored[2].fields == labels.images[2].fields
    assert restored[3].fields == labels.images[3].fields


def test_labels_without_an_origin_have_none_and_a_damaged_one_is_named(tmp_path):
    assert origin.read(tmp_path) is None
    for text in ("{", "[]", '{"images": {}, "keypoint_set": {"name": 1}}', '{"images": {"a": 1}}'):
        (tmp_path / origin.FILE).write_text(text)
        with pytest.raises(UserError, match=origin.FILE):
            origin.read(tmp_path)
