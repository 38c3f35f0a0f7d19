"""Tests of predicting a part of each video."""

import json
import math

import numpy as np
import pytest
from stick_figure_jobs import PLAIN, contents, points_at, start, write_film
from stick_figures import STICK_FIGURE, StickFigureFinder

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.span import Span
from aggpose_jax.recordings import recording

# The frames of the film are at 0, 0.04, 0.16, 0.36, 0.64, 1, 1.44 and 1.96 s.
FRAMES = 8


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    write_film(path, FRAMES)
    return path


@pytest.mark.parametrize(
    ("span", "numbers"),
    [
        (Span(), range(8)),
        (Span(0.16, 0.64), range(2, 4)),  # the start belongs to the span, the end does not
        (Span(0.2), range(3, 8)),
        (Span(end=0.2), range(3)),
        (Span(1.5, 99), range(7, 8)),
    ],
)
def test_frames_keep_their_numbers_and_times(film, span, numbers):
    decoding = videos.Decoding()
    frames = list(span.frames(film, decoding))
    assert [frame.index for frame in frames] == list(numbers)
    np.testing.assert_allclose([frame.seconds for frame in frames], [0.04 * n * n for n in numbers], atol=1e-4)
    assert decoding.decoded == decoding.promised == numbers[-1] + 1
    assert decoding.fault() == ""
    assert decoding.size == (320, 240)


def test_nothing_is_decoded_after_the_end(film, monkeypatch):
    converted = []
    displayed = videos._displayed
    monkeypatch.setattr(videos, "_displayed", lambda *args: converted.append(1) or displayed(*args))
    list(Span(0.1, 0.3).frames(film, videos.Decoding()))
    assert len(converted) == 2  # the frame of the span, and the first one after it


def test_a_span_without_a_frame_is_one_line(film):
    for span in (Span(2, 3), Span(0.2, 0.3), Span(5)):
        with pytest.raises(UserError, match=rf"film\.mp4 has no frame from {span.start:g} s.* --start$"):
            list(span.frames(film, videos.Decoding()))
    with pytest.raises(UserError, match=r"from 5 s, the last one that was read is at 1\.96 s"):
        list(Span(5).frames(film, videos.Decoding()))


def test_the_number_of_frames_is_estimated_by_the_header(tmp_path):
    videos.write_frames(((i / 10, np.zeros((16, 16, 3), np.uint8)) for i in range(40)), tmp_path / "a.mp4")
    path = tmp_path / "a.mp4"
    counts = [Span(*limits).count(path) for limits in ((), (1,), (1, 2), (3, 9), (9, 10))]
    np.testing.assert_allclose(counts, [40, 30, 10, 10, 0], atol=1)
    assert (counts[0], counts[-1]) == (40, 0)


def test_a_job_has_the_frames_of_its_span_and_another_span_is_another_job(film, tmp_path):
    options = OutputOptions(("csv", "movement", "deeplabcut"), overlay=True)
    summary = start(film, tmp_path / "out", options=options, span=Span(0.1, 1.2))
    assert (summary.done, summary.frames, summary.promised) == (1, 4, 4)
    read = recording.read(tmp_path / "out" / "film")
    assert read.poses.numbers.tolist() == [2, 3, 4, 5]
    np.testing.assert_allclose(read.time, [0.16, 0.36, 0.64, 1.0], atol=1e-4)
    assert (read.facts.promised, read.facts.decoded) == (6, 6)
    for frame, number in enumerate(read.poses.numbers):
        assert np.abs(read.position[frame, 0] - points_at(number)).max() < 3
    overlay = [frame.seconds for frame in videos.read_frames(tmp_path / "out" / "film" / "overlay.mp4")]
    np.testing.assert_allclose(overlay, [0, 0.2, 0.48, 0.84], atol=1e-4)
    assert start(film, tmp_path / "out", options=options, span=Span(0.1, 1.2)).before == 1
    for other in (Span(0.1), Span(), Span(0.1, 1.3)):
        with pytest.raises(UserError, match=r"another job \(end was 1\.2|another job \(start was 0\.1"):
            start(film, tmp_path / "out", options=options, span=other)


def test_a_film_that_is_too_short_fails_alone(film, tmp_path):
    write_film(tmp_path / "short.mp4", 3)
    summary = start([tmp_path / "short.mp4", film], tmp_path / "out", span=Span(1))
    assert summary.done == 1
    (failure,) = summary.failures
    assert "short.mp4 has no frame from 1 s" in failure


def test_a_job_over_whole_videos_has_the_settings_that_it_always_had(film, tmp_path):
    start(film, tmp_path / "one")
    settings = json.loads((tmp_path / "one" / "manifest.json").read_text())["settings"]
    assert sorted(settings) == ["boxes", "detections", "formats", "mosaic", "network", "overlay", "set", "whole"]
    start(film, tmp_path / "two", options=PLAIN, span=Span(0, math.inf), finder=StickFigureFinder())
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert recording.read(tmp_path / "one" / "film").keypoint_set == STICK_FIGURE
