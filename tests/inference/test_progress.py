"""Tests of the lines of progress that a job prints without a terminal."""

import io

import pytest
from stick_figure_jobs import contents, start, write_film

from aggpose_jax.inference import progress
from aggpose_jax.inference.progress import ProgressLines


def lines(total: int, times) -> list[str]:
    """Returns the lines for frames that end at these times in seconds."""
    file, clock = io.StringIO(), iter([0.0, *times])
    with ProgressLines(total, file, lambda: next(clock)) as bar:
        bar.set_description("1/2 film")
        for _ in times:
            bar.update()
    return file.getvalue().splitlines()


def test_a_line_is_printed_for_every_tenth_of_the_frames():
    printed = lines(200, [0.1 * i for i in range(1, 201)])
    assert len(printed) == 10
    assert printed[0] == "1/2 film: 20 of 200 frames (10%), 10.0 frames/s, 0:00:18 left"
    assert printed[-1] == "1/2 film: 200 of 200 frames (100%), 10.0 frames/s, 0:00:00 left"


def test_a_line_is_printed_after_thirty_seconds():
    printed = lines(100_000, [7.0 * i for i in range(1, 12)])
    assert [line.split()[2] for line in printed] == ["5", "10"]  # after 35 and 70 s
    assert printed[0].endswith("0.1 frames/s, 194:26:05 left")


@pytest.mark.parametrize("total", [0, 3])
def test_more_frames_than_the_headers_promise_are_counted(total):
    printed = lines(total, [40.0, 80.0, 120.0, 160.0, 200.0])
    assert printed[-1] == "1/2 film: 5 frames, 0.0 frames/s"


def test_a_job_prints_lines_without_a_terminal_and_its_results_are_the_same(tmp_path, capsys, monkeypatch):
    write_film(tmp_path / "film.mp4", 10)
    start(tmp_path / "film.mp4", tmp_path / "out")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 10
    assert printed.err.splitlines()[4].startswith("1/1 film: 5 of 10 frames (50%), ")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    start(tmp_path / "film.mp4", tmp_path / "terminal")
    assert "frame/s" in capsys.readouterr().err
    assert contents(tmp_path / "out") == contents(tmp_path / "terminal")
