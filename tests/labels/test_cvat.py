"""CVAT's XML files of images with skeletons."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from label_sets import assert_same, make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels import cvat
from aggpose_jax.pose.keypoints import INFANT_21

# What CVAT exports of a task with one skeleton of three points, in the order in which it happens to list them.
EXPORTED = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>1</id><labels>
    <label><name>baby</name><color>#fff</color><type>skeleton</type><attributes></attributes></label>
    <label><name>left_eye</name><type>points</type><attributes></attributes><parent>baby</parent></label>
    <label><name>right_eye</name><type>points</type><attributes></attributes><parent>baby</parent></label>
    <label><name>chin</name><type>points</type><attributes></attributes><parent>baby</parent></label>
  </labels></task></meta>
  <image id="0" name="b.jpg" width="320" height="240"></image>
  <image id="1" name="sub/a.jpg" width="320" height="240">
    <skeleton label="baby" source="manual" z_order="0">
      <points label="chin" source="manual" outside="1" occluded="0" points="5.00,6.00"></points>
      <points label="right_eye" source="manual" outside="0" occluded="1" points="10.50,20.25"></points>
      <points label="left_eye" source="manual" outside="0" occluded="0" points="100.50,30.00"></points>
    </skeleton>
    <box label="other" source="manual" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4" z_order="0"></box>
  </image>
</annotations>
"""


def test_what_is_written_is_read_back(tmp_path):
    labels = make_labels()
    cvat.write(labels, tmp_path)
    found = cvat.read(tmp_path)
    assert_same(labels, found)
    assert found.keypoint_set.names == INFANT_21.names
    assert {image.size for image in found.images} == {(240, 320)}


def test_an_export_of_cvat_is_read(tmp_path):
    (tmp_path / "export.xml").write_text(EXPORTED)
    labels = cvat.read(tmp_path / "export.xml")
    assert labels.keypoint_set.names == ("left_eye", "right_eye", "chin")
    assert labels.keypoint_set.flip_pairs == ((0, 1),)
    assert [image.file for image in labels.images] == ["b.jpg", "sub/a.jpg"]
    assert labels.images[0].persons.shape == (0, 3, 3)
    # Pixel corners are at integers in CVAT, pixel centres here.
    np.testing.assert_allclose(labels.images[1].persons, [[(100, 29.5, 2), (10, 19.75, 1), (0, 0, 0)]])


def test_the_first_pixel_has_its_centre_at_a_half(tmp_path):
    labels = make_labels(persons=(1,))
    labels.images[0].persons[0, 0] = 0, 0, 2
    cvat.write(labels, tmp_path)
    points = ElementTree.parse(tmp_path / "annotations.xml").find("image/skeleton/points")
    assert points.attrib == {
        "label": "right_eye", "source": "file", "outside": "0", "occluded": "0", "points": "0.500,0.500"
    }  # fmt: skip


def test_the_labels_for_a_new_task_are_a_skeleton_of_all_keypoints(tmp_path):
    cvat.write(make_labels(), tmp_path)
    (label,) = json.loads((tmp_path / "labels.json").read_text())
    assert (label["name"], label["type"]) == ("person", "skeleton")
    assert [one["name"] for one in label["sublabels"]] == list(INFANT_21.names)
    drawing = ElementTree.fromstring(f"<svg>{label['svg']}</svg>")
    assert [circle.get("data-label-name") for circle in drawing.iter("circle")] == list(INFANT_21.names)
    edges = [(int(e.get("data-node-from")) - 1, int(e.get("data-node-to")) - 1) for e in drawing.iter("line")]
    assert tuple(edges) == INFANT_21.skeleton


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("</annotations>", "", "not valid XML"),
        ("annotations>", "something>", "CVAT for images 1.1"),
        ('<image id="0"', '<track id="0"></track><image id="0"', "annotated video"),
        ('name="b.jpg"', 'name="sub/a.jpg"', "sub/a.jpg is labelled twice"),
        ('name="b.jpg"', 'name="../b.jpg"', "file name"),
        ('name="b.jpg" width="320"', 'name="b.jpg"', r"b\.jpg has no width"),
        ('label="chin"', 'label="left_eye"', r"a\.jpg.* left_eye occurs twice"),
        ("10.50,20.25", "10.50", r"a\.jpg.* right_eye has no x,y"),
        ("10.50,20.25", "10.50,nan", "right_eye is at"),
        ("skeleton", "polygon", "no image has a skeleton"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path, before, after, message):
    (tmp_path / "export.xml").write_text(EXPORTED.replace(before, after))
    with pytest.raises(UserError, match=rf"export\.xml.*{message}"):
        cvat.read(tmp_path / "export.xml")


def test_missing_files_and_archives_are_named(tmp_path):
    with pytest.raises(UserError, match=r"annotations\.xml cannot be read"):
        cvat.read(tmp_path)
    (tmp_path / "task.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"task\.zip is a ZIP file"):
        cvat.read(tmp_path / "task.zip")
