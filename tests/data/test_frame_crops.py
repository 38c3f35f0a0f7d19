"""Crops of unlabelled frames."""

import numpy as np
import pytest

from aggpose_jax.data import frame_crops
from aggpose_jax.data.images import ImageError

IMAGE = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)
SEGMENT = {"id": 7}


class Segments:
    """A source whose segments have two frames: IMAGE and its negative."""

    def draw(self, record, rng):
        number = int(rng.integers(2))
        return {"image": 255 - IMAGE if number else IMAGE, "id": record["id"] + number}


class Broken:
    """A source whose frames of segments with an odd id are not images, and whose shard is damaged after id 10."""

    def draw(self, record, rng):
        if record["id"] > 10:
            raise ImageError("damaged")
        return {"image": b"" if record["id"] % 2 else IMAGE, "id": record["id"] + 1}


def make_batch(records, size, seed=None, source=None, **options):
    generators = None if seed is None else [np.random.default_rng((seed, row)) for row in range(len(records))]
    return frame_crops.make_batch(records, generators, source=source or Segments(), input_size=size, **options)


def test_random_regions_lie_inside_the_image_with_the_required_area_and_aspect():
    rng = np.random.default_rng(0)
    regions = np.array([frame_crops.random_region(60, 80, 4 / 3, 0.25, rng) for _ in range(500)])
    top, left, h, w = regions.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h).max() == 60  # Regions reach the bottom and the right side.
    assert (left + w).max() == 80
    fraction, stretch = h * w / 4800, w / h / (4 / 3)
    assert fraction.min() > 0.22
    assert fraction.max() > 0.8
    assert np.quantile(stretch, [0, 1]) == pytest.approx(
        [3 / 4, 4 / 3], rel=0.06
    )  # Regions are rounded to integer pixels.


def test_the_central_region_is_used_if_no_random_region_fits():
    region = frame_crops.random_region(10, 1000, 1.0, 1.0, np.random.default_rng(0))
    assert region == frame_crops.center_region(10, 1000, 1.0) == (0, 495, 10, 10)
    assert frame_crops.center_region(100, 20, 2.0) == (45, 0, 10, 20)


def test_without_generators_crops_are_the_centre_of_the_same_frame_at_every_call():
    batch = make_batch([SEGMENT, {"id": 2}], (60, 40))
    drawn = [int(np.random.default_rng(id_).integers(2)) for id_ in (7, 2)]
    assert batch["id"].tolist() == [7 + drawn[0], 2 + drawn[1]]
    assert batch["valid"].tolist() == [1, 1]
    for image, number in zip(batch["image"], drawn, strict=True):
        np.testing.assert_array_equal(image, (255 - IMAGE if number else IMAGE)[:, 20:60])
    assert [(array.dtype.name, array.shape) for array in batch.values()] == [
        ("uint8", (2, 60, 40, 3)), ("int32", (2,)), ("float32", (2,)),
    ]  # fmt: skip


def test_crops_depend_only_on_the_generator_and_are_mirrored_with_the_given_probability():
    first, second = (make_batch(4 * [SEGMENT], (32, 32), 3, smallest=0.5, flip=0.5) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert set(first["id"]) == {7, 8}
    plain, mirrored = (make_batch(4 * [SEGMENT], (32, 32), 3, smallest=0.5, flip=flip)["image"] for flip in (0.0, 1.0))
    np.testing.assert_array_equal(plain, mirrored[:, :, ::-1])
    flipped = (first["image"] == mirrored).all((1, 2, 3))
    np.testing.assert_array_equal(first["image"], np.where(flipped[:, None, None, None], mirrored, plain))


class Boxed:
    """A source whose frames have a box of 20×10 pixels around (30, 25), and a later frame, the negative, as target."""

    def draw(self, record, rng):
        return {"image": IMAGE, "target": 255 - IMAGE, "box": np.array([20.0, 20, 20, 10]), "id": record["id"]}


def test_without_generators_crops_of_a_box_are_its_padded_region_in_the_aspect_of_the_input():
    crop = make_batch([SEGMENT], (25, 25), source=Boxed())["image"][0]
    # The region is 25 pixels wide and high, 1.25 × the longer side, around (30, 25): its pixels are those of the crop.
    np.testing.assert_array_equal(crop, IMAGE[13:38, 18:43])


def test_random_crops_of_a_box_are_scaled_moved_and_mirrored_within_their_limits():
    rng = np.random.default_rng(0)
    views = [frame_crops.draw_box_view(np.array([20.0, 20, 20, 10]), 1.0, 0.5, rng) for _ in range(400)]
    scale = np.array([view.size for view in views]) / 25
    shift = (np.array([view.center for view in views]) - (30, 25)) / 25
    assert scale.min() == 0.75
    assert scale.max() == 1.25
    assert 0.095 < np.abs(shift).max() <= 0.1
    assert 150 < sum(view.flipped for view in views) < 250
    plain, mirrored = (make_batch(2 * [SEGMENT], (32, 32), 3, Boxed(), flip=flip)["image"] for flip in (0.0, 1.0))
    difference = np.abs(plain.astype(int) - mirrored[:, :, ::-1])  # OpenCV interpolates in steps of 1/32 pixel.
    assert difference.mean() < 0.1
    assert (plain[0] != plain[1]).any()


@pytest.mark.parametrize("seed", [None, 3])
def test_targets_are_cropped_like_their_images(seed):
    batch = make_batch(2 * [SEGMENT], (25, 25), seed, Boxed(), has_targets=True)
    inside = batch["image"] != 0  # Outside of the frame, both crops are black.
    np.testing.assert_allclose((batch["image"].astype(int) + batch["target"])[inside], 255, atol=1)
    assert batch["target"].any((1, 2, 3)).all()


@pytest.mark.parametrize("seed", [None, 3])
def test_unreadable_frames_give_black_crops_with_the_id_of_their_segment(seed):
    batch = make_batch([{"id": number} for number in (4, 5, 12)], (32, 64), seed, Broken())
    assert batch["id"].tolist() == [5, 5, 12]
    assert batch["valid"].tolist() == [1, 0, 0]
    assert batch["image"][0].any()
    assert not batch["image"][1:].any()
