"""LabelMe's JSON files."""

import json

import numpy as np
import pytest
from label_sets import assert_same, make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels import labelme
from aggpose_jax.labels.label_set import in_keypoint_set
from aggpose_jax.pose.keypoints import INFANT_21


def shape(label, x, y, group=None, **more):
    return {"label": label, "points": [[x, y]], "group_id": group, "shape_type": "point", "flags": {}, **more}


def write(folder, *shapes, name="a.json", image="a.jpg", **more):
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    (folder / name).write_text(json.dumps({**content, "imageHeight": 240, "imageWidth": 320, **more}))


def test_what_is_written_is_read_back(tmp_path):
    labels = make_labels(files=["b/x.png", "b/y.png", "c.jpg", "d.png"])
    labelme.write(labels, tmp_path)
    found, left_out = in_keypoint_set(labelme.read(tmp_path), INFANT_21)
    assert_same(labels, found)
    assert left_out == []
    content = json.loads((tmp_path / "b" / "x.json").read_text())
    assert (content["imagePath"], content["imageHeight"], content["imageWidth"]) == ("x.png", 240, 320)


def test_points_of_labelme_are_read(tmp_path):
    box = {"label": "baby", "points": [[0, 0], [9, 9]], "group_id": 3, "shape_type": "rectangle", "flags": {}}
    write(
        tmp_path, shape("left_eye", 10.5, 20.5, 3), shape("right_eye", 1, 2, 1), box,
        shape("chin", 7, 8, 3, flags={"occluded": True}), shape("chin", 5, 6, 1, description="occluded"),
        image="..\\" + tmp_path.name + "\\a.jpg",
    )  # fmt: skip
    labels = labelme.read(tmp_path)
    assert labels.keypoint_set.names == ("right_eye", "chin", "left_eye")
    (image,) = labels.images
    assert (image.file, image.size) == ("a.jpg", (240, 320))
    expected = [[(0.5, 1.5, 2), (4.5, 5.5, 1), (0, 0, 0)], [(0, 0, 0), (6.5, 7.5, 1), (10, 20, 2)]]
    np.testing.assert_allclose(image.persons, expected)


def test_other_files_are_ignored(tmp_path):
    write(tmp_path, shape("chin", 1, 2))
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert len(labelme.read(tmp_path).images) == 1


@pytest.mark.parametrize(
    ("shapes", "settings", "message"),
    [
        ([shape("chin", 1, 2), shape("chin", 3, 4)], {}, "chin is labelled twice"),
        ([{**shape("chin", 1, 2), "points": []}], {}, "shape number 0 is no point"),
        ([shape("chin", float("nan"), 2)], {}, "shape number 0 has an invalid"),
        ([shape("chin", 1, 2, "x")], {}, "shape number 0 has an invalid"),
        ([shape("chin", 1, 2)], {"image": "../../a.jpg"}, "leads out of"),
        ([shape("chin", 1, 2)], {"image": None}, "imagePath"),
        ([shape("chin", 1, 2)], {"image": "a\n.jpg"}, "file name"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path, shapes, settings, message):
    write(tmp_path, *shapes, **settings)
    with pytest.raises(UserError, match=rf"{tmp_path}.*{message}"):
        labelme.read(tmp_path)


def test_empty_and_damaged_folders_are_named(tmp_path):
    with pytest.raises(UserError, match="none is missing"):
        labelme.read(tmp_path / "none")
    with pytest.raises(UserError, match="no LabelMe file"):
        labelme.read(tmp_path)
    write(tmp_path)
    with pytest.raises(UserError, match="no shape of type point"):
        labelme.read(tmp_path)
    write(tmp_path, shape("chin", 1, 2))
    write(tmp_path, shape("chin", 1, 2), name="b.json")
    with pytest.raises(UserError, match=r"a\.jpg is labelled twice"):
        labelme.read(tmp_path)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(UserError, match=r"b\.json is not valid JSON"):
        labelme.read(tmp_path)
