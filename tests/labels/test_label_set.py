"""Labels of images: their names, keypoint sets and ids."""

import pathlib

import numpy as np
import pytest
from label_sets import make_labels

from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, checked_images, in_keypoint_set, to_coco, with_fields
from aggpose_jax.pose.keypoint_files import set_of_names
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21

NOBODY = np.zeros((0, 21, 3))
FILE = pathlib.Path("/labels")


def test_keypoints_correspond_by_name_in_any_order_and_spelling():
    names = ("Right Eye", "tail", "LEFT_EYE")
    labels = make_labels(set_of_names(names, "mine"), persons=(1,))
    found, left_out = in_keypoint_set(labels, COCO_17)
    assert left_out == ["tail"]
    person, moved = labels.images[0].persons[0], found.images[0].persons[0]
    np.testing.assert_array_equal(moved[COCO_17.names.index("right_eye")], person[0])
    np.testing.assert_array_equal(moved[COCO_17.names.index("left_eye")], person[2])
    assert not np.delete(moved, [COCO_17.names.index("right_eye"), COCO_17.names.index("left_eye")], 0).any()


def test_labels_without_a_keypoint_of_the_set_are_an_error():
    with pytest.raises(UserError, match=r"coco_17.*snout.*--keypoint-set"):
        in_keypoint_set(make_labels(set_of_names(("snout", "tail"), "mouse")), COCO_17)


@pytest.mark.parametrize(
    "name", ["", "/a.png", "../a.png", "a/../../b.png", "C:\\a.png", "a\0.png", "a\n.png", "a" * 256]
)
def test_a_name_that_cannot_be_a_file_is_an_error(name):
    with pytest.raises(UserError, match=r"/labels.* file name"):
        checked_images(FILE, [LabelledImage(name, None, NOBODY)])


def test_an_image_that_is_labelled_twice_is_an_error_and_so_is_no_image():
    images = [LabelledImage(name, None, NOBODY) for name in ("a1.png", "a01.png", "./a1.png")]
    with pytest.raises(UserError, match=r"a1\.png is labelled twice"):
        checked_images(FILE, images)
    with pytest.raises(UserError, match="no labelled image"):
        checked_images(FILE, [])


def test_images_get_free_ids_and_the_video_and_frame_of_their_names():
    files = ["ward_frame000012.png", "ward/img5.png", "photo.jpg", "a_frame2.png"]
    images = [LabelledImage(file, None, NOBODY) for file in files]
    images[2] = images[2]._replace(fields={"id": 2, "video_id": "x"})
    fields = [image.fields for image in with_fields(images)]
    assert fields[0] == {"id": 1, "video_id": "ward", "frame": 12}
    assert fields[1] == {"id": 3, "video_id": "ward", "frame": 5}
    assert fields[2] == {"id": 2, "video_id": "x"}
    assert fields[3] == {"id": 4, "video_id": "a", "frame": 2}


def test_boxes_are_tight_and_persons_without_a_label_are_left_out():
    labels = make_labels(persons=(2,))
    labels.images[0].persons[1] = 0
    labels.images[0].persons[0] = 0
    labels.images[0].persons[0, :3] = [(10, 20, 2), (30, 25, 1), (15, 60, 2)]
    (annotation,) = to_coco(labels)["annotations"]
    assert annotation["bbox"] == [10, 20, 20, 40]
    assert annotation["area"] == pytest.approx(0.53 * 20 * 40)
    assert annotation["num_keypoints"] == 3
    assert to_coco(labels)["categories"][0]["keypoints"] == list(INFANT_21.names)
