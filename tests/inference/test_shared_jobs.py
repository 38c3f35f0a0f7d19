"""Batch jobs that several machines share: each does its part of the videos in the same folder."""

import json

import pytest
from stick_figure_jobs import Killed, KilledFinder, contents, start, write_film
from stick_figures import StickFigureFinder

from aggpose_jax.errors import UserError
from aggpose_jax.inference.finished_jobs import read_job
from aggpose_jax.inference.manifests import Part
from aggpose_jax.recordings.recording import find_recordings


@pytest.fixture
def films(tmp_path):
    for number in range(5):
        write_film(tmp_path / "films" / f"{number}.mp4", frames=2 + number)
    return tmp_path / "films"


def results(out):
    """Returns the contents of the files of a job by relative path, without manifests."""
    return {name: content for name, content in contents(out).items() if not name.startswith("manifest")}


def test_parts_have_the_results_of_the_whole_and_are_read_as_one(films, tmp_path):
    start(films, tmp_path / "whole")
    for index, frames in ((1, 3 + 5), (0, 2 + 4 + 6)):
        summary = start(films, tmp_path / "out", part=Part(index, 2))
        assert (summary.frames, summary.before, summary.failures) == (frames, 0, [])
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    done = [json.loads((tmp_path / "out" / f"manifest_{i}_of_2.json").read_text())["done"] for i in range(2)]
    assert [list(one) for one in done] == [["0", "2", "4"], ["1", "3"]]
    assert sorted(one.name for one in read_job(tmp_path / "out")) == ["0", "1", "2", "3", "4"]
    assert len(find_recordings(tmp_path / "out")) == 5


def test_an_unfinished_part_does_not_disturb_another_and_resumes(films, tmp_path):
    out = tmp_path / "out"
    finder = StickFigureFinder()
    start(films / "0.mp4", tmp_path / "count", finder)
    with pytest.raises(Killed):
        start(films, out, KilledFinder(finder.crops + 1), part=Part(0, 2))
    assert (out / ".partial_0_of_2").is_dir()
    assert start(films, out, part=Part(1, 2)).done == 2
    assert len(find_recordings(out)) == 3
    again = start(films, out, part=Part(0, 2))
    assert (again.done, again.before) == (2, 1)
    assert not (out / ".partial_0_of_2").exists()


def test_a_video_that_moves_to_another_part_is_not_predicted_again(films, tmp_path):
    for index in range(2):
        start(films, tmp_path / "out", part=Part(index, 2))
    write_film(films / "00.mp4", frames=1)  # becomes the second, so that those after it change their part
    summaries = [start(films, tmp_path / "out", part=Part(index, 2)) for index in range(2)]
    assert [(one.done, one.before) for one in summaries] == [(0, 3), (1, 2)]


def test_folders_of_other_jobs_are_refused(films, tmp_path):
    out = tmp_path / "out"
    start(films, out, part=Part(0, 2))
    for part in (Part(0, 1), Part(0, 3)):
        with pytest.raises(UserError, match=r"out has manifest_0_of_2\.json.*--shard"):
            start(films, out, part=part)
    start(films, tmp_path / "whole")
    with pytest.raises(UserError, match=r"whole has manifest\.json.*--shard"):
        start(films, tmp_path / "whole", part=Part(0, 2))
    (out / "manifest_0_of_2.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest_0_of_2\.json: "):
        start(films, out, part=Part(1, 2))


def test_parts_of_a_job_must_have_the_same_settings(films, tmp_path):
    start(films, tmp_path / "out", part=Part(0, 2))
    manifest = tmp_path / "out" / "manifest_0_of_2.json"
    content = json.loads(manifest.read_text())
    content["settings"]["overlay"] = True
    manifest.write_text(json.dumps(content))
    with pytest.raises(UserError, match="overlay was True"):
        start(films, tmp_path / "out", part=Part(1, 2))
