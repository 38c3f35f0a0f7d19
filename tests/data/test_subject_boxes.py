"""Boxes of films at the positions of the frames of a source, and boxes of other films."""

import cv2
import numpy as np
import pytest
from shard_files import write_shards

from aggpose_jax.data import frames
from aggpose_jax.data.subject_boxes import FilmBoxes, place
from aggpose_jax.errors import UserError


def film(boxes: dict, last: int, size=None) -> FilmBoxes:
    return FilmBoxes({number: np.array(box, float) for number, box in boxes.items()}.get, last, size)


@pytest.fixture
def source(tmp_path):
    """Two videos of four frames of 8×6 pixels."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.zeros((6, 8, 3), np.uint8))
    return frames.open_source(tmp_path, stride=2)


def test_boxes_are_in_pixels_of_the_frames_and_by_position(source):
    placed = place(source, {"b": film({1: (20, 40, 60, 80), 3: (0, 0, 10, 20)}, 3, (60, 80)), "c": film({}, 9)}, "runs")
    assert placed.keys() == {2}
    np.testing.assert_allclose(placed[2], [[1, 2, 4, 6, 8], [3, 0, 0, 1, 2]])


def test_boxes_of_stored_frames_are_found_by_their_numbers(tmp_path):
    write_shards(tmp_path, {"baby": 3})  # frames 0, 10 and 20 of the film
    source = frames.open_source(tmp_path, stride=2)
    placed = place(source, {"baby": film({1: (9, 9, 9, 9), 20: (1, 2, 3, 4)}, 29)}, "runs")
    np.testing.assert_array_equal(placed[1], [[2, 1, 2, 3, 4]])
    with pytest.raises(UserError, match=r"runs knows frame 30 of baby, which has only 30 frames"):
        place(source, {"baby": film({20: (1, 2, 3, 4)}, 30)}, "runs")


@pytest.mark.parametrize(
    ("films", "message"),
    [
        ({"x": film({0: (0, 0, 1, 1)}, 0)}, "runs has boxes of x, but of none .* a, b"),
        ({"a": film({0: (0, 0, 1, 1)}, 4)}, "frame 4 of a, which has only 4 frames"),
        ({"a": film({}, 3)}, "runs has no box in any frame"),
        ({"a": film({0: (0, 0, 1, 1)}, 3, (60, 60))}, "60×60 pixels, but the frames of a have 8×6"),
    ],
)
def test_boxes_of_other_films_are_errors(source, films, message):
    with pytest.raises(UserError, match=message):
        place(source, films, "runs")
