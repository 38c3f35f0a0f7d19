"""Boxes of the subject from the results of prediction and from files."""

import json

import numpy as np
import pytest
from recording_files import write_recording

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import film_boxes


def test_boxes_of_results_surround_the_keypoints_of_the_first_person(tmp_path):
    made = write_recording(tmp_path / "ward" / "film", persons=((), (), (0, 1), (1,)))
    films = film_boxes.read(tmp_path)
    assert films.keys() == {"ward/film"}
    film = films["ward/film"]
    assert (film.last, film.size) == (3, (240, 320))
    assert film.at(0) is None
    for number, pose in ((2, 0), (3, 2)):  # Frame 2 has two persons.
        points = made.poses.keypoints[pose]
        points = points[points[:, 2].round(4) > 0.2]
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        np.testing.assert_allclose(film.at(number), [*low, *(high - low)], atol=2e-3)


def test_a_folder_of_one_film_is_named_like_it(tmp_path):
    write_recording(tmp_path / "film")
    assert film_boxes.read(tmp_path / "film").keys() == {"film"}


def test_boxes_of_a_file_follow_the_subject(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps({"a": [[0, 10, 20, 30, 40], [4, 18, 20, 30, 40]]}))
    film = film_boxes.read(tmp_path / "boxes.json")["a"]
    assert (film.last, film.size) == (4, None)
    np.testing.assert_array_equal(film.at(1), [12, 20, 30, 40])


@pytest.mark.parametrize(("content", "message"), [("[1]", "not a JSON object"), ('{"a": []}', "a has no valid boxes")])
def test_damaged_files_are_errors(tmp_path, content, message):
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(UserError, match=message):
        film_boxes.read(tmp_path / "boxes.json")


def test_missing_results_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"none.json cannot be read"):
        film_boxes.read(tmp_path / "none.json")
    with pytest.raises(UserError, match="has no recording"):
        film_boxes.read(tmp_path)
