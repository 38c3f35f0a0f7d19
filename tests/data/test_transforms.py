"""Augmentation of records and warping of their images into crops."""

import dataclasses
import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from aggpose_jax.data import images, transforms
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.views import Augmentation, View, view_transform
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.pose.protocol import HRNET, Protocol

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
INPUT_SIZE = (256, 192)
NEVER = Augmentation(half_body=0, scale=0, rotation_probability=0, flip=0)
CORNERS = KeypointSet("corners", ("left", "right", "top"), ((0, 1),), (), (0.1,) * 3, (2,))


class FixedGenerator:
    """A generator that returns given numbers, as fractions of the requested range."""

    def __init__(self, *fractions):
        self._fractions = list(fractions)

    def uniform(self, low, high, size):
        return low + (high - low) * np.array([self._fractions.pop(0) for _ in range(size)])

    def integers(self, end):
        return np.array([int(self._fractions.pop(0) * n) for n in end])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def record() -> dict:
    """Returns a record of three dots on black: red (left), green (right) and blue (top), all labelled."""
    keypoints = np.array([[130, 100, 2], [70, 104, 1], [104, 60, 2]], np.float32)
    image = np.zeros((160, 200, 3), np.uint8)
    for channel, (x, y, _) in enumerate(keypoints.astype(int)):
        image[y - 3 : y + 4, x - 3 : x + 4, channel] = 255
    box = np.array([60, 50, 80, 60], np.float32)
    return {"image": image, "box": box, "keypoints": keypoints, "image_id": 11, "id": 12, "score": 0.5}


def make_example(record: dict, keypoint_set: KeypointSet, input_size, *, rng=None, **options) -> dict:
    """Returns the only example of a batch of one record, without the batch dimension."""
    generators = None if rng is None else [rng]
    batch = transforms.make_batch([record], generators, keypoint_set=keypoint_set, input_size=input_size, **options)
    assert {len(array) for array in batch.values()} == {1}
    return {name: array[0] for name, array in batch.items()}


def dots(crop: np.ndarray) -> np.ndarray:
    """Returns the centre of mass [3, 2] of each colour of a crop, in pixels."""
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    mass = crop.astype(float)
    return np.stack([(mass * at[..., None]).sum((0, 1)) / mass.sum((0, 1)) for at in (x, y)], axis=-1)


def test_an_example_without_augmentation(record):
    record["keypoints"][2, 2] = 0
    example = make_example(record, CORNERS, (64, 48))
    assert {key: (value.shape, str(value.dtype)) for key, value in example.items()} == {
        "image": ((64, 48, 3), "uint8"),
        "keypoints": ((3, 2), "float32"),
        "weight": ((3,), "float32"),
        "to_image": ((2, 3), "float32"),
        "crop_area": ((), "float32"),
        "image_id": ((), "int64"),
        "id": ((), "int64"),
        "score": ((), "float32"),
        "reoriented": ((), "float32"),
        "valid": ((), "float32"),
    }
    # The box of 80 × 60 is enlarged to 80 × 106.7, then both sides by 1.25. Its centre (100, 80) is at (23.5, 31.5).
    factor = 47 / 99
    np.testing.assert_allclose(example["keypoints"][0], [23.5 + 30 * factor, 31.5 + 20 * factor], rtol=1e-6)
    assert example["keypoints"][2].tolist() == [0, 0]
    assert example["weight"].tolist() == [1, 1, 0]
    assert example["crop_area"] == pytest.approx(100 * 100 / 0.75)
    assert (example["image_id"], example["id"], example["score"], example["valid"]) == (11, 12, 0.5, 1)
    back = geometry.apply(example["to_image"], example["keypoints"][:2])
    np.testing.assert_allclose(back, record["keypoints"][:2, :2], atol=1e-4)


def test_keypoints_that_are_absent_or_outside_the_crop_are_told_apart_from_unlabelled_ones(record):
    record["absent"] = np.array([True, False, False])
    record["keypoints"][1, :2] = 1000, 80  # labelled, but far outside the crop
    record["keypoints"][2, 2] = 0  # not labelled: it may be anywhere
    example = make_example(record, CORNERS, (64, 48))
    assert example["absent"].tolist() == [1, 1, 0]
    assert example["weight"].tolist() == [0, 0, 0]
    assert not example["keypoints"].any()


def test_an_example_in_the_hrnet_convention(record):
    example = make_example(record, CORNERS, (64, 48), protocol=HRNET)
    np.testing.assert_allclose(example["keypoints"][0], [24 + 30 * 0.48, 32 + 20 * 0.48], rtol=1e-6)


def test_augmentation_with_zero_ranges_changes_nothing(record, rng):
    plain = make_example(record, CORNERS, (64, 48))
    augmented = make_example(record, CORNERS, (64, 48), augmentation=NEVER, rng=rng)
    for key, value in plain.items():
        np.testing.assert_array_equal(augmented[key], value)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("convention", geometry.CONVENTIONS)
def test_keypoints_move_with_the_pixels(record, rng, flip, convention):
    augmentation = Augmentation(half_body=0, scale=0.2, rotation_probability=1, flip=flip)
    for _ in range(5):
        example = make_example(
            record, CORNERS, (256, 192), augmentation=augmentation, rng=rng, protocol=Protocol(convention)
        )
        colours = [1, 0, 2] if flip else [0, 1, 2]  # Flipping swaps left and right keypoints.
        np.testing.assert_allclose(example["keypoints"], dots(example["image"])[colours], atol=0.1)
        back = geometry.apply(example["to_image"], example["keypoints"])
        np.testing.assert_allclose(back, record["keypoints"][colours, :2], atol=1e-3)
        assert (np.linalg.det(example["to_image"][:, :2]) < 0) == bool(flip)


def test_flip_mirrors_the_crop(record, rng):
    plain = make_example(record, CORNERS, (64, 48))
    mirrored = make_example(record, CORNERS, (64, 48), augmentation=Augmentation(0, 8, 0, 0, 0, flip=1), rng=rng)
    np.testing.assert_allclose(mirrored["image"].astype(int), plain["image"][:, ::-1], atol=2)
    np.testing.assert_allclose(mirrored["keypoints"][:, 0], 47 - plain["keypoints"][[1, 0, 2], 0], atol=1e-4)


def test_flip_swaps_the_weights_of_left_and_right(record, rng):
    record["keypoints"][0, 2] = 0
    example = make_example(record, CORNERS, (64, 48), augmentation=Augmentation(0, 8, 0, 0, 0, flip=1), rng=rng)
    assert example["weight"].tolist() == [1, 0, 1]


def test_crops_are_black_outside_the_image():
    crop = transforms.warp(np.full((10, 10, 3), 255, np.uint8), np.array([[1.0, 0, 5], [0, 1, 5]]), (20, 20))
    assert crop[:5].max() == 0
    assert crop[5:15, 5:15].min() == 255


def test_augmentation_depends_only_on_the_generator(record):
    examples = [
        make_example(record, CORNERS, (64, 48), augmentation=Augmentation(), rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(examples[0]["image"], examples[1]["image"])
    assert (examples[0]["image"] != examples[2]["image"]).any()


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_batch_stacks_its_examples_and_is_black_where_an_image_is_unreadable(record, flip):
    augmentation = Augmentation(half_body=0.5, half_body_min_labelled=2, cutout=0.5, flip=flip)
    options = {"keypoint_set": CORNERS, "input_size": (64, 48), "augmentation": augmentation, "protocol": HRNET}
    records = [record | {"id": number, "score": number / 8} for number in range(6)]
    examples = [make_example(r, **options, rng=np.random.default_rng(r["id"])) for r in records]
    records[3]["image"] = b"no image"
    batch = transforms.make_batch(records, [np.random.default_rng(r["id"]) for r in records], **options)
    assert batch.keys() == examples[0].keys()
    readable = [0, 1, 2, 4, 5]
    for name, array in batch.items():
        expected = np.stack([example[name] for example in examples])
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array[readable], expected[readable])
    assert batch["id"].tolist() == list(range(6))
    assert not any(batch[name][3].any() for name in ("image", "keypoints", "weight", "score", "crop_area", "valid"))
    np.testing.assert_array_equal(batch["to_image"][3], np.eye(2, 3))


def test_an_image_whose_annotation_states_its_upright_size_is_rotated(record):
    upright, exif = Image.fromarray(record["image"]), Image.Exif()
    exif[0x0112] = 6  # viewers rotate the stored image by 90° clockwise
    sideways = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(sideways, "PNG", exif=exif)
    options = {"keypoint_set": CORNERS, "input_size": (64, 48)}
    expected = make_example(record, **options)
    turned = make_example(record | {"image": sideways.getvalue(), "size": record["image"].shape[:2]}, **options)
    assert (expected.pop("reoriented"), turned.pop("reoriented")) == (0, 1)
    for name, value in expected.items():
        np.testing.assert_array_equal(turned[name], value)


def test_without_generators_an_unreadable_image_is_an_error(record):
    options = {"keypoint_set": CORNERS, "input_size": (64, 48), "augmentation": Augmentation()}
    records = [record, record | {"image": b"no image"}]
    with pytest.raises(images.ImageError, match="JPEG, PNG, WebP"):
        transforms.make_batch(records, **options)


def test_crops_equal_the_reference(test_data):
    reference = np.load(REFERENCE / "pipeline_coco_mini.npz")
    crops = np.load(test_data / "coco_mini/pipeline_crops.npz")
    source = CocoKeypoints(test_data / "coco_mini", "val2017", COCO_17)
    assert [source[i]["id"] for i in range(len(source))] == reference["ann_id"].tolist()
    for i, expected in enumerate(crops["crop"]):
        assert source[i]["id"] == crops["ann_id"][i]
        region = reference["center_scale"][i]
        view = View(region[:2], region[2:] * 200, float(reference["rotation"][i]))
        image = images.read_image(source[i]["image"])
        crop = transforms.warp(image, view_transform(view, image.shape[1], INPUT_SIZE, "unbiased"), INPUT_SIZE)
        assert np.abs(crop.astype(int) - expected).mean() < 1


def test_examples_without_rotation_equal_the_reference(test_data):
    reference = np.load(REFERENCE / "pipeline_coco_mini.npz")
    crops = np.load(test_data / "coco_mini/pipeline_crops.npz")["crop"]
    source = CocoKeypoints(test_data / "coco_mini", "val2017", COCO_17)
    for i in np.flatnonzero(reference["rotation"] == 0):
        example = make_example(source[i], COCO_17, INPUT_SIZE)
        # Input and heatmap pixels are related by the distances between pixel centres.
        in_heatmap = (example["keypoints"] - [95.5, 127.5]) * 47 / 191 + [23.5, 31.5]
        labelled = example["weight"] > 0
        np.testing.assert_allclose(in_heatmap[labelled], reference["joints_heatmap"][i][labelled], atol=1e-3)
        expected = geometry.invert(reference["affine_image"][i])
        np.testing.assert_allclose(example["to_image"], expected, atol=1e-3)
        if i < len(crops):
            assert np.abs(example["image"].astype(int) - crops[i]).mean() < 1


def test_the_hole_of_a_cutout():
    image = np.full((20, 10, 3), 7, np.uint8)
    # The hole has 0.3 × 20 = 6 rows and 0.4 × 10 = 4 columns. Its top is the last of 15 possible values, 14, and its
    # left is the middle of 7 possible values, 3.
    cut = transforms.cut_out(image, FixedGenerator(0.5, 1.0, 0.99, 0.5))
    expected = np.full((20, 10, 3), 7)
    expected[14:20, 3:7] = 0
    np.testing.assert_array_equal(cut, expected)
    assert (image == 7).all()


def test_cutout_holes_have_all_sizes_and_positions(rng):
    image = np.ones((50, 30, 3), np.uint8)
    is_covered, heights, widths = np.zeros((50, 30), bool), set(), set()
    for _ in range(400):
        rows, columns = np.nonzero(transforms.cut_out(image, rng)[..., 0] == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width
        is_covered[rows, columns] = True
        heights.add(int(height))
        widths.add(int(width))
    assert all(edge.any() for edge in (is_covered[0], is_covered[-1], is_covered[:, 0], is_covered[:, -1]))
    assert is_covered[20:-20, 12:-12].all()
    assert heights == set(range(10, 21))
    assert widths == set(range(6, 13))


def test_cutout_changes_a_fraction_of_the_crops_and_no_labels(record):
    record["image"] = np.full((160, 200, 3), 255, np.uint8)

    def example(cutout, seed):
        augmentation = dataclasses.replace(NEVER, cutout=cutout)
        rng = np.random.default_rng(seed)
        return make_example(record, CORNERS, INPUT_SIZE, augmentation=augmentation, rng=rng)

    def has_hole(crop):
        return (crop == 0).any()

    plain = example(0, 0)
    assert not has_hole(plain.pop("image"))
    assert all(has_hole(example(1, seed)["image"]) for seed in range(5))
    assert 12 < sum(has_hole(example(0.4, seed)["image"]) for seed in range(50)) < 28
    cut = example(1, 0)
    for name, value in plain.items():
        np.testing.assert_array_equal(cut[name], value)
