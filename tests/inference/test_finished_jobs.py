"""Reading back the results of finished batch jobs."""

import json

import numpy as np
import pytest
from stick_figure_jobs import start, write_film
from stick_figures import STICK_FIGURE

from aggpose_jax.errors import UserError
from aggpose_jax.inference.finished_jobs import read_job
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.recordings import coco


@pytest.fixture
def job(tmp_path):
    for name in ("a/film.mp4", "b/walk.mp4"):
        write_film(tmp_path / "films" / name, 3)
    start(tmp_path / "films", tmp_path / "out", options=OutputOptions(overlay=False))
    return tmp_path / "out"


def test_videos_come_with_their_paths_poses_and_keypoints(job, tmp_path):
    found = read_job(job)
    assert [one.name for one in found] == ["a/film", "b/walk"]
    assert [one.paths for one in found] == [(tmp_path / f"films/{n}.mp4",) for n in ("a/film", "b/walk")]
    assert all(one.is_video for one in found)
    poses = found[0].poses
    assert poses.keypoint_set.names == STICK_FIGURE.names
    assert poses.keypoint_set.flip_pairs == STICK_FIGURE.flip_pairs
    np.testing.assert_allclose(poses.times, [0, 0.04, 0.16], atol=1e-5)
    expected = coco.read(job / "a/film/keypoints.json", STICK_FIGURE)
    np.testing.assert_allclose(poses.keypoints, expected.keypoints, atol=1e-3)


def test_the_folder_of_one_video_is_enough(job, monkeypatch):
    assert [one.name for one in read_job(job / "b" / "walk")] == ["b/walk"]
    assert [one.name for one in read_job(job / "a")] == ["a/film"]
    monkeypatch.chdir(job / "a")
    assert [one.name for one in read_job(type(job)("film"))] == ["a/film"]


def test_results_without_a_table_need_a_keypoint_set_if_it_is_not_one_of_the_package(job):
    for table in job.rglob("keypoints.csv"):
        table.unlink()
    with pytest.raises(UserError, match=r"keypoints\.json.* 8 keypoints.*--keypoint-set"):
        read_job(job)
    assert len(read_job(job, STICK_FIGURE)[0].poses.keypoints) == 3


def test_faults_are_named(job, tmp_path):
    with pytest.raises(UserError, match="none is no folder"):
        read_job(tmp_path / "none")
    with pytest.raises(UserError, match="films has no manifest"):
        read_job(tmp_path / "films")
    (job / "a/film/keypoints.csv").unlink()
    (job / "a/film/keypoints.json").unlink()
    with pytest.raises(UserError, match=r"a/film has neither"):
        read_job(job)
    empty = {"settings": {}, "done": {}, "failed": {}}
    (job / "manifest.json").write_text(json.dumps(empty))
    with pytest.raises(UserError, match="no finished results"):
        read_job(job)
    (job / "manifest.json").write_text(json.dumps(empty | {"done": {"x": {"source": 3}}}))
    with pytest.raises(UserError, match="manifest is damaged at x"):
        read_job(job)
