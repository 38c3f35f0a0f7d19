"""Tests of boxes, crop regions and transforms."""

import json
import pathlib

import numpy as np
import pytest

from aggpose_jax.pose import geometry

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
INPUT_SIZE, HEATMAP_SIZE = (256, 192), (64, 48)


@pytest.fixture(scope="module")
def reference() -> dict:
    with np.load(REFERENCE / "pipeline_coco_mini.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 20, 30, 40], [10, 20, 29, 29]),
        ([-5, -7, 30, 40], [0, 0, 29, 39]),  # the start is clipped, the sides are unchanged
        ([80, 30, 50, 50], [80, 30, 19, 19]),
        ([99, 49, 1, 1], [99, 49, 0, 0]),
        ([10, 10, 0.5, 0], [10, 10, 0, 0]),
        ([100, 10, 5, 5], None),
        ([10, 50.5, 5, 5], None),
    ],
)
def test_clip_box(box, expected):
    clipped = geometry.clip_box(box, (50, 100))
    assert clipped is None if expected is None else clipped.tolist() == expected


def test_estimated_area_is_0_53_of_the_box_of_the_labelled_points():
    keypoints = [[10, 20, 1], [30, 25, 2], [15, 70, 2], [900, 900, 0]]
    assert geometry.estimate_area(keypoints) == pytest.approx(0.53 * 20 * 50)
    assert geometry.estimate_area([[1, 2, 0]]) == 0


@pytest.mark.parametrize(
    ("box", "size"),
    [([10, 20, 30, 100], [75 * 1.25, 125]), ([10, 20, 90, 30], [112.5, 150]), ([10, 20, 60, 80], [75, 100])],
)
def test_crop_region_grows_the_shorter_side(box, size):
    center, region = geometry.crop_region(box, 192 / 256)
    np.testing.assert_allclose(center, [10 + box[2] / 2, 20 + box[3] / 2])
    np.testing.assert_allclose(region, size)


def test_crop_region_of_several_boxes_without_padding():
    center, region = geometry.crop_region([[0, 0, 2, 10], [0, 0, 10, 2]], aspect=1.0, padding=1.0)
    np.testing.assert_allclose(center, [[1, 5], [5, 1]])
    np.testing.assert_allclose(region, 10.0)


def test_crop_region_of_an_empty_box_gives_a_valid_transform():
    center, size = geometry.crop_region([5, 5, 0, 0], 0.75)
    assert geometry.crop_transform(center, 0.65 * size, INPUT_SIZE)[0, 0] > 0


def test_unbiased_transform_maps_pixel_centres_to_pixel_centres():
    # The centres of 193 pixels span a distance of 192, those of 97 pixels 96: the scale is exactly one half.
    transform = geometry.crop_transform([200, 100], [193, 257], (129, 97))
    corners = geometry.apply(transform, [[200, 100], [200 - 96, 100 - 128], [200 + 96, 100 + 128]])
    np.testing.assert_allclose(corners, [[48, 64], [0, 0], [96, 128]])


def test_hrnet_transform_maps_numbers_of_pixels():
    transform = geometry.crop_transform([200, 100], [384, 512], INPUT_SIZE, convention="hrnet")
    np.testing.assert_allclose(transform, [[0.5, 0, 96 - 100], [0, 0.5, 128 - 50]])


def test_unknown_convention_raises():
    with pytest.raises(ValueError, match="udp"):
        geometry.crop_transform([0, 0], [10, 10], (8, 8), convention="udp")


@pytest.mark.parametrize("convention", geometry.CONVENTIONS)
def test_positive_rotation_rotates_the_content_counter_clockwise(convention):
    transform = geometry.crop_transform([50, 50], [100, 100], (100, 100), rotation=90, convention=convention)
    middle, right = geometry.apply(transform, [[50, 50], [60, 50]])
    offset = right - middle
    assert offset[0] == pytest.approx(0)
    assert offset[1] == pytest.approx(-10)  # up on the screen


def test_invert_and_compose():
    transform = geometry.crop_transform([30, 70], [120, 160], INPUT_SIZE, rotation=33)
    points = np.array([[[1.0, 2.0]], [[-7.5, 300.0]]])
    transformed = geometry.apply(transform, points)
    np.testing.assert_allclose(geometry.apply(geometry.invert(transform), transformed), points)
    shift = np.array([[1.0, 0.0, 10.0], [0.0, 1.0, 20.0]])
    double = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    mirrored_first = geometry.compose(geometry.mirror(192), transform)
    np.testing.assert_allclose(
        geometry.apply(mirrored_first, points), geometry.apply(transform, geometry.apply(geometry.mirror(192), points))
    )
    np.testing.assert_allclose(geometry.compose(shift, double), [[2, 0, 20], [0, 2, 40]])
    np.testing.assert_allclose(geometry.compose(double, shift), [[2, 0, 10], [0, 2, 20]])


def test_mirror():
    mirrored = geometry.apply(geometry.mirror(100), [[0.0, 3.0], [99.0, 4.0], [49.5, 5.0]])
    np.testing.assert_allclose(mirrored, [[99, 3], [0, 4], [49.5, 5]])


@pytest.mark.parametrize(("name", "size"), [("affine_image", INPUT_SIZE), ("affine_heatmap", HEATMAP_SIZE)])
def test_transforms_equal_the_reference(reference, name, size):
    for center_scale, rotation, expected in zip(
        reference["center_scale"], reference["rotation"], reference[name], strict=True
    ):
        transform = geometry.crop_transform(center_scale[:2], center_scale[2:] * 200, size, rotation)
        np.testing.assert_allclose(transform, expected, atol=1e-3)


def test_regions_of_real_annotations_equal_the_reference(reference, test_data):
    coco = json.loads((test_data / "coco_mini/annotations/person_keypoints_val2017.json").read_text())
    images = {image["id"]: image for image in coco["images"]}
    annotations = {annotation["id"]: annotation for annotation in coco["annotations"]}
    for key, expected in zip(reference["ann_id"], reference["center_scale"], strict=True):
        annotation = annotations[int(key)]
        image = images[annotation["image_id"]]
        box = geometry.clip_box(annotation["bbox"], (image["height"], image["width"]))
        center, size = geometry.crop_region(box, 192 / 256)
        np.testing.assert_allclose([*center, *(size / 200)], expected, rtol=1e-5)


def test_keypoints_of_real_annotations_equal_the_reference(reference, test_data):
    coco = json.loads((test_data / "coco_mini/annotations/person_keypoints_val2017.json").read_text())
    annotations = {annotation["id"]: annotation for annotation in coco["annotations"]}
    for i, key in enumerate(reference["ann_id"]):
        keypoints = np.reshape(annotations[int(key)]["keypoints"], (17, 3))
        center_scale = reference["center_scale"][i]
        transform = geometry.crop_transform(
            center_scale[:2], center_scale[2:] * 200, HEATMAP_SIZE, reference["rotation"][i]
        )
        points = np.where(keypoints[:, 2:] > 0, geometry.apply(transform, keypoints[:, :2]), 0)
        np.testing.assert_allclose(points, reference["joints_heatmap"][i], atol=1e-3)
