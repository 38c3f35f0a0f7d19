"""Crops of frames."""

import numpy as np
import pytest

from aggpose_jax.data import frame_crops
from aggpose_jax.data.images import ImageError

IMAGE = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)
FRAME = {"image": IMAGE, "id": 7}


def test_random_regions_lie_inside_with_the_area_and_aspect_asked_for():
    rng = np.random.default_rng(0)
    regions = np.array([frame_crops.random_region(60, 80, 4 / 3, 0.25, rng) for _ in range(500)])
    top, left, h, w = regions.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h).max() == 60  # they reach every side
    assert (left + w).max() == 80
    share, stretch = h * w / 4800, w / h / (4 / 3)
    assert share.min() > 0.22
    assert share.max() > 0.8
    assert np.quantile(stretch, [0, 1]) == pytest.approx([3 / 4, 4 / 3], rel=0.06)  # whole pixels


def test_where_no_random_region_fits_it_is_the_middle():
    region = frame_crops.random_region(10, 1000, 1.0, 1.0, np.random.default_rng(0))
    assert region == frame_crops.middle_region(10, 1000, 1.0) == (0, 495, 10, 10)
    assert frame_crops.middle_region(100, 20, 2.0) == (45, 0, 10, 20)


def test_without_chance_it_is_the_middle_to_the_pixel():
    example = frame_crops.make_crop(FRAME, (60, 40))
    np.testing.assert_array_equal(example["image"], IMAGE[:, 20:60])
    assert (example["id"], example["valid"]) == (7, 1)


def test_a_crop_is_a_function_of_the_generator_and_mirrored_as_often_as_asked():
    first, again = (
        frame_crops.make_crop(FRAME, (32, 32), smallest=0.5, flip=0.5, rng=np.random.default_rng(3)) for _ in range(2)
    )
    np.testing.assert_array_equal(first["image"], again["image"])
    plain, mirrored = (
        frame_crops.make_crop(FRAME, (32, 32), smallest=0.5, flip=flip, rng=np.random.default_rng(3))["image"]
        for flip in (0.0, 1.0)
    )
    np.testing.assert_array_equal(plain, mirrored[:, ::-1])


def test_a_frame_that_cannot_be_read():
    with pytest.raises(ImageError):
        frame_crops.make_crop({"image": b"", "id": 7}, (32, 32))
    blank, crop = frame_crops.blank_crop({"id": 7}, (32, 64)), frame_crops.make_crop(FRAME, (32, 64))
    assert {name: (a.shape, a.dtype) for name, a in blank.items()} == {n: (a.shape, a.dtype) for n, a in crop.items()}
    assert (blank["id"], blank["valid"], blank["image"].max()) == (7, 0, 0)
