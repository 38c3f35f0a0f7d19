"""Which infant or video an image belongs to, and what is refused."""

import pytest
from infant_truth import truth

from aggpose_jax.errors import UserError
from aggpose_jax.evidence.units import read_units


def test_units_are_named_by_the_images():
    units = read_units(truth([2, 1, 3]), "infant_id")
    assert units.names == ["infant 0", "infant 1", "infant 2"]
    assert units.of_image == {1: 0, 2: 0, 3: 1, 4: 2, 5: 2, 6: 2}
    assert units.of_annotation == units.of_image  # the ids are the same
    assert len(read_units(truth([2, 1, 3]), "video_id")) == 3


def test_annotations_name_units_where_images_do_not():
    coco = truth([2, 1])
    for image, annotation in zip(coco["images"], coco["annotations"], strict=True):
        annotation["infant_id"] = image.pop("infant_id")
    assert read_units(coco, "infant_id").of_image == {1: 0, 2: 0, 3: 1}


def test_two_infants_in_an_image_leave_no_unit_of_the_image():
    coco = truth([1, 1])
    for image in coco["images"]:
        del image["infant_id"]
    coco["annotations"][0] |= {"infant_id": 8}
    coco["annotations"][1] |= {"infant_id": 9, "image_id": 1}
    coco["images"] = coco["images"][:1]
    units = read_units(coco, "infant_id")
    assert units.of_image is None
    assert units.of_annotation == {1: 0, 2: 1}
    assert read_units(coco, "video_id").of_image == {1: 0}


@pytest.mark.parametrize("value", [None, "absent"])
def test_images_without_the_field_are_named(value):
    coco = truth([2, 1])
    if value is None:
        coco["images"][1]["infant_id"] = None
    else:
        del coco["images"][1]["infant_id"]
    with pytest.raises(UserError, match=r"infant_id: missing for 1 of 3 images, such as 0_1.jpg") as raised:
        read_units(coco, "infant_id")
    assert "\n" not in str(raised.value)


def test_an_empty_image_needs_the_field_too():
    coco = truth([2, 1])
    del coco["annotations"][1], coco["images"][1]["infant_id"]
    with pytest.raises(UserError, match=r"0_1.jpg"):
        read_units(coco, "infant_id")


def test_an_infant_in_two_videos_is_one_unit_and_its_videos_are_refused():
    coco = truth([1, 1, 1])
    coco["images"][1]["infant_id"] = "infant 0"
    assert len(read_units(coco, "infant_id")) == 2
    with pytest.raises(UserError, match=r"video_id: infant infant 0 \(videos 0, 1\).*--by infant_id"):
        read_units(coco, "video_id")


def test_a_video_of_two_infants_is_one_video():
    coco = truth([1, 1, 1])
    coco["images"][1]["video_id"] = 0
    assert len(read_units(coco, "video_id")) == 2
    assert len(read_units(coco, "infant_id")) == 3
