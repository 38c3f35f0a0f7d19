"""Boxes that follow an object through a video."""

import json

import numpy as np
import pytest

from aggpose_jax.data import boxes
from aggpose_jax.errors import UserError


def write(tmp_path, content):
    (tmp_path / "boxes.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return tmp_path / "boxes.json"


def test_boxes_are_interpolated_between_listed_frames_and_constant_outside(tmp_path):
    file = write(tmp_path, {"a": [[10, 0, 0, 8, 8], [20, 10, 20, 8, 16]], "other": 3})
    track = boxes.read_tracks(file, {"a": None})["a"]
    np.testing.assert_allclose(track.at(15), [5, 10, 8, 12])
    np.testing.assert_allclose(track.at(0), [0, 0, 8, 8])
    np.testing.assert_allclose(track.at(99), [10, 20, 8, 16])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"b": [[0, 0, 0, 1, 1]]}, "video a"),
        ({"a": [0, 0, 1, 1]}, "video a"),
        ({"a": [[0, 0, 0, 1], [1, 2]]}, "video a"),
        ({"a": [[0, 0, 0, 0, 1]]}, "video a .*width"),
        ({"a": [[5, 0, 0, 1, 1], [5, 0, 0, 1, 1]]}, "video a .*frame"),
        ("{", "JSON"),
        ("3", "JSON"),
    ],
)
def test_invalid_boxes_are_rejected(tmp_path, content, message):
    with pytest.raises(UserError, match=f"boxes.json.*{message}"):
        boxes.read_tracks(write(tmp_path, content), {"a": None})


def test_the_error_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(UserError, match=r"none\.json .*No such file"):
        boxes.read_tracks(tmp_path / "none.json", {})


def test_a_crop_contains_all_pixels_that_a_box_touches():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(boxes.crop(image, np.array([1.5, 2, 2.2, 9])), image[2:5, 1:4])
    assert boxes.crop(image, np.array([7.0, 0, 3, 3])) is None


def test_pixelating_replaces_the_box_by_six_by_six_patches_and_nothing_else():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    pixelated = boxes.pixelate(image, np.array([20, 10, 30, 30]))
    inside = np.zeros(image.shape[:2], bool)
    inside[10:40, 20:50] = True
    np.testing.assert_array_equal(pixelated[~inside], image[~inside])
    patches = pixelated[10:40, 20:50].reshape(6, 5, 6, 5, 3)
    assert (patches == patches[:, :1, :, :1]).all()
    expected = image[10:40, 20:50].reshape(6, 5, 6, 5, 3).mean(axis=(1, 3))
    assert np.abs(patches[:, 0, :, 0] - expected).max() <= 0.5
    np.testing.assert_array_equal(boxes.pixelate(image, np.array([90.0, 0, 5, 5])), image)
