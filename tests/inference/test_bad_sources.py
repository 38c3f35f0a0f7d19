"""Tests of batch jobs with sources that are damaged, missing, oddly named or in the way of each other."""

import errno
import gzip
import json
import os
import pathlib

import av
import numpy as np
import pytest
from PIL import Image
from stick_figure_jobs import Killed, KilledFinder, contents, points_at, start, write_film
from stick_figures import STICK_FIGURE, render

from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions, image_numbers
from aggpose_jax.recordings import tidy


def test_every_fault_of_one_source_is_one_line_and_the_others_are_done(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    write_film(folder / "a.mp4", frames=2)
    write_film(folder / ("n" * 246 + ".mp4"), frames=2)
    (folder / "broken.mp4").symlink_to("nowhere.mp4")
    (folder / "text.avi").write_text("no video")
    (folder / "empty.mov").touch()
    with open(os.path.join(os.fsencode(folder), b"s\xe9ance.png"), "wb") as file:
        Image.fromarray(render(points_at(0))).save(file, "PNG")
    options = OutputOptions(formats=("coco", "csv", "openpose", "deeplabcut"))
    for _ in range(2):
        summary = start(folder, out, options=options)
        assert len(summary.failures) == 3
        for name in ("broken.mp4", "text.avi", "empty.mov"):
            (line,) = [line for line in summary.failures if name in line]
            assert "\n" not in line
        assert summary.done + summary.before == 3
    assert tidy.read(out / "images" / "keypoints.csv", STICK_FIGURE).files == (r"s\xe9ance.png",)
    assert (out / "images" / "overlay" / r"s\xe9ance.png.jpg").is_file()
    assert len(list((out / ("n" * 246) / "openpose").iterdir())) == 2


def test_names_that_mean_something_to_libraries_and_to_tables_are_only_names(tmp_path):
    films = ["film%03d", "-x", "pipe:0", "concat:a|b", "data:,x", "a#1?b=2", 'quo"te,d', "new\nline", " space"]
    stills = ["1%d.png", "a,b.png", 'q"u.png', "new\nline.png", "=1+1.png", "-2.png"]
    for name in films:
        write_film(tmp_path / "in" / f"{name}.mp4", frames=1)
    for name in stills:
        Image.fromarray(render(points_at(0))).save(tmp_path / "in" / name)
    summary = start(tmp_path / "in", tmp_path / "out")
    assert (summary.done, summary.frames, summary.failures) == (len(films) + 1, len(films) + len(stills), [])
    for name in films:
        assert len(tidy.read(tmp_path / "out" / name / "keypoints.csv", STICK_FIGURE).times) == 1
    assert sorted(tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE).files) == sorted(stills)


def test_results_that_cannot_be_written_fail_their_source_only(tmp_path, monkeypatch):
    for name in "abc":
        write_film(tmp_path / "in" / f"{name}.mp4", frames=1)
    write = batch_job.write_video_results

    def fails_for_b(items, folder, stem, *rest):
        if stem == "b":
            raise OSError(errno.ENAMETOOLONG, "File name too long", "b")
        return write(items, folder, stem, *rest)

    monkeypatch.setattr(batch_job, "write_video_results", fails_for_b)
    summary = start(tmp_path / "in", tmp_path / "out")
    assert summary.done == 2
    assert "in/b.mp4: " in summary.failures[0]


def test_a_box_outside_of_one_image_fails_that_image_only(tmp_path):
    Image.fromarray(render(points_at(0))).save(tmp_path / "a.png")
    Image.fromarray(render(None, (20, 20))).save(tmp_path / "b.png")
    summary = start(tmp_path, tmp_path / "out", box_source=BoxSource(boxes=((70, 40, 160, 160),)))
    (failure,) = summary.failures
    assert f"{tmp_path}/b.png: box (70, 40, 160, 160) " in failure
    assert tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE).files == ("a.png",)


def test_results_of_another_source_are_not_removed(tmp_path):
    write_film(tmp_path / "in" / "a.mp4", frames=1)
    write_film(tmp_path / "in" / "a" / "b.mp4", frames=1)
    start(tmp_path / "in", tmp_path / "out")
    before = contents(tmp_path / "out")
    summary = start(tmp_path / "in" / "a.mp4", tmp_path / "out")
    assert "out/a: contains the results of a/b" in summary.failures[0]
    assert contents(tmp_path / "out") == before


def test_a_job_without_results_may_be_corrected(tmp_path):
    write_film(tmp_path / "film.mp4", frames=1)
    start(tmp_path / "film.mp4", tmp_path / "out", box_source=BoxSource(boxes=((900, 9, 5, 5),)))
    summary = start(tmp_path / "film.mp4", tmp_path / "out", box_source=BoxSource(boxes=((70, 40, 160, 160),)))
    assert (summary.done, summary.failures) == (1, [])
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["failed"] == {}


def test_numbers_too_large_for_readers_of_json_are_not_image_numbers():
    assert image_numbers(["00000000000000000000001.png", "9" * 23 + ".png"]) == [0, 1]
    assert image_numbers([f"{2**53}.png"]) == [0]
    assert image_numbers([f"{2**53 - 1}.png"]) == [2**53 - 1]


def test_a_truncated_video_has_results_and_is_named_with_its_missing_frames(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(render(points_at(number)))))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    summary = start(path, tmp_path / "out")
    (failure,) = summary.failures
    count = len(tidy.read(tmp_path / "out" / "film" / "keypoints.csv", STICK_FIGURE).times)
    assert 5 < count < 49
    assert f"{path} is damaged: {count} of 50 frames" in failure
    assert (summary.frames, summary.promised) == (count, 50)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["failed"]["film"] == [failure]


def write_bad_videos(folder: pathlib.Path) -> list[str]:
    """Writes twelve videos that cannot be read, each for another reason, and returns their names."""
    write_film(folder / "whole.mp4", frames=3)
    whole = (folder / "whole.mp4").read_bytes()
    (folder / "whole.mp4").unlink()
    contents = {
        "empty.mp4": b"",
        "text.avi": b"This is no video.",
        "page.webm": b"<!DOCTYPE html><html><body>Log in</body></html>",
        "packed.mkv": gzip.compress(whole),
        "playlist.m4v": b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/film.mp4\n",
        "cut.mov": whole[:-300],
        "codec.mp4": whole.replace(b"avc1", b"zzzz"),
        "zeros.mpg": bytes(5000),
        "noise.wmv": np.random.default_rng(0).bytes(5000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "broken.mp4").symlink_to("nowhere.mp4")
    (folder / "loop.mov").symlink_to("loop.mov")
    os.mkfifo(folder / "pipe.mts")
    return [*contents, "broken.mp4", "loop.mov", "pipe.mts"]


def test_a_job_with_many_bad_sources_ends_the_same_however_often_it_is_killed(tmp_path):
    bad = write_bad_videos(tmp_path / "in")
    for number in range(28):
        write_film(tmp_path / "in" / f"film_{number}.mp4", frames=2)
    whole = start(tmp_path / "in", tmp_path / "whole")
    assert (whole.done, len(whole.failures)) == (28, 12)
    for name in bad:
        (line,) = [line for line in whole.failures if f"in/{name}" in line]
        assert "\n" not in line
    for after in (30, 150):
        with pytest.raises(Killed):
            start(tmp_path / "in", tmp_path / "killed", KilledFinder(after))
    again = start(tmp_path / "in", tmp_path / "killed")
    assert again.done + again.before == 28
    assert again.before > 0
    assert sorted(again.failures) == sorted(whole.failures)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
