"""Files of chosen frames, and lists of videos that are never chosen."""

import csv
import json

import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.labels.choice_files import ChosenFrame, is_excluded, read, read_excluded, write

FRAMES = [
    ChosenFrame("ward/film, 1", 12, 0.48, "", 1.5, ("low score", "jump")),
    ChosenFrame("images", 3, None, "b.jpg", 0.2, ("variety",)),
]


@pytest.mark.parametrize("name", ["frames.csv", "frames.json"])
def test_what_is_written_is_read_back(tmp_path, name):
    write(FRAMES, tmp_path / name)
    assert read(tmp_path / name) == {("ward/film, 1", 12), ("images", 3)}


def test_the_reasons_of_each_frame_are_written(tmp_path):
    write(FRAMES, tmp_path / "a.csv")
    write(FRAMES, tmp_path / "a.json")
    with open(tmp_path / "a.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[0] == {
        "video": "ward/film, 1", "frame": "12", "time": "0.480000", "image": "", "error": "1.5",
        "reasons": "low score; jump",
    }  # fmt: skip
    assert json.loads((tmp_path / "a.json").read_text())[1]["time"] is None


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "a,b\n1,2\n"), ("a.csv", "video,frame\nx,y\n"), ("a.json", "{}x"), ("a.json", '[{"video": "x"}]')],
)
def test_another_file_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=name):
        read(tmp_path / name)
    with pytest.raises(UserError, match="none"):
        read(tmp_path / "none.csv")


def test_videos_infants_and_images_of_a_test_split_are_excluded(tmp_path):
    images = [
        {"id": 1, "file_name": "x/a.jpg", "width": 9, "height": 9, "video_id": 5, "infant_id": "P7"},
        {"id": 2, "file_name": "b.jpg", "width": 9, "height": 9, "video_id": "film.2"},
    ]
    (tmp_path / "test.json").write_text(json.dumps({"images": images, "annotations": []}))
    (tmp_path / "names.txt").write_text("walk.mp4\n\n run\n")
    excluded = read_excluded([tmp_path / "test.json", tmp_path / "names.txt"])
    for name in ("5", "ward/5", "P7/monday", "film.2", "film.2.mp4", "walk", "ward/walk", "run", "x/a.jpg", "b.png"):
        assert is_excluded(name, excluded), name
    for name in ("film", "55", "P8/monday", "running", "c.jpg"):
        assert not is_excluded(name, excluded), name
    with pytest.raises(UserError, match="none"):
        read_excluded([tmp_path / "none.txt"])
