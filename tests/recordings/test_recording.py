"""Tests of recordings: what is written is read back, and what was changed by hand is named."""

import dataclasses
import json

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, KeypointSet
from aggpose_jax.recordings import recording, tidy
from aggpose_jax.recordings.poses import collect

PAIR = KeypointSet("pair", ("left_hand", "right_hand"), ((0, 1),), ((0, 1),), (0.05, 0.07), (0,))
FACTS = recording.Facts("films/a.mp4", 320, 240, 90, 29.97, 5, 4, 1, "aggpose_jax 0.2.0", "abc", "tracking")


def write(folder, keypoint_set=PAIR, times=(0, 0.04, 0.08, 0.2), persons=((0,), (), (0, 1), (1,))):
    """Writes a recording of four frames; in the last one only the second person is seen."""
    found = [np.arange(len(p) * len(keypoint_set) * 3).reshape(-1, len(keypoint_set), 3) + 0.5 for p in persons]
    poses = collect(keypoint_set, list(times), found, persons=list(map(list, persons)))
    folder.mkdir(parents=True, exist_ok=True)
    tidy.write(poses, folder / "keypoints.csv")
    recording.write_facts(FACTS, poses, folder)
    return poses


def test_what_is_written_is_read_back(tmp_path):
    poses = write(tmp_path / "a")
    found = recording.read(tmp_path / "a")
    assert (found.name, found.facts, found.keypoint_set) == ("a", FACTS, PAIR)
    np.testing.assert_allclose(found.time, poses.times)
    assert found.position.shape == (4, 2, 2, 2)
    np.testing.assert_allclose(found.position[0, 0], [[0.5, 1.5], [3.5, 4.5]])
    np.testing.assert_allclose(found.confidence[2], [[2.5, 5.5], [8.5, 11.5]])
    assert np.isnan(found.position[1]).all()
    assert np.isnan(found.position[3, 0]).all()
    np.testing.assert_allclose(found.position[3, 1], [[0.5, 1.5], [3.5, 4.5]])
    assert found.frame_rate == pytest.approx(25)


def test_a_recording_without_a_pose_and_one_of_a_frame_are_read(tmp_path):
    write(tmp_path / "empty", COCO_17, times=(0, 1), persons=((), ()))
    found = recording.read(tmp_path / "empty")
    assert found.position.shape == (2, 1, 17, 2)
    assert np.isnan(found.position).all()
    write(tmp_path / "one", times=(0,), persons=((0,),))
    assert np.isnan(recording.read(tmp_path / "one").frame_rate)
    assert json.loads((tmp_path / "one" / "video.json").read_text())["frames_per_second"]["median"] is None


def test_recordings_of_a_job_are_in_natural_order(tmp_path):
    for name in ("film_10", "film_9", "ward/film_1", ".partial"):  # the last one is of an interrupted job
        write(tmp_path / name)
    (tmp_path / "images").mkdir()
    folders = recording.find_recordings(tmp_path)
    assert [str(folder.relative_to(tmp_path)) for folder in folders] == ["film_9", "film_10", "ward/film_1"]
    assert recording.find_recordings(tmp_path / "film_9") == [tmp_path / "film_9"]
    for missing in ("images", "nothing"):
        with pytest.raises(UserError, match=f"{missing} (has|is) no "):
            recording.find_recordings(tmp_path / missing)


@pytest.mark.parametrize(("times", "frame"), [((0, 1, 0.5, 2), 2), ((0, float("nan"), 1, 2), 1)])
def test_times_that_do_not_rise_are_named(tmp_path, times, frame):
    write(tmp_path, times=times)
    with pytest.raises(UserError, match=rf"keypoints\.csv: the times do not rise at frame {frame};"):
        recording.read(tmp_path)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(recording.Facts)] + ["keypoint_set"])
def test_a_damaged_or_missing_fact_is_named(tmp_path, key):
    write(tmp_path)
    content = json.loads((tmp_path / "video.json").read_text())
    groups = {"width": "frame_size", "height": "frame_size", "header_rate": "frames_per_second"}
    groups |= dict.fromkeys(("promised", "decoded", "errors"), "frames")
    groups |= dict.fromkeys(("searched", "second"), "second_infant")
    del content[groups.get(key, key)]
    (tmp_path / "video.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"video\.json is damaged"):
        recording.read(tmp_path)


def test_an_edited_table_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "keypoints.csv").write_text("frame,time\n0,0\n")
    with pytest.raises(UserError, match=r"keypoints\.csv"):
        recording.read(tmp_path)
    (tmp_path / "keypoints.csv").write_text("frame,time,person,keypoint,x,y,score\n")
    with pytest.raises(UserError, match=r"keypoints\.csv has no frame"):
        recording.read(tmp_path)
