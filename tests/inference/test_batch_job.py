"""Tests of batch jobs over videos and images: results, errors, and resuming after a kill."""

import errno
import gzip
import json
import os
import pathlib

import av
import numpy as np
import pytest
from PIL import Image
from stick_figures import STICK_FIGURE, StickFigureFinder, render, stick_figure

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions, image_numbers
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.recordings import coco, tidy

# Elements a, b, c, d of the display matrix by rotation in degrees.
TAGS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
PLAIN = OutputOptions(formats=("coco", "csv"), overlay=False)


def points_at(frame: int) -> np.ndarray:
    return stick_figure((150 + 2 * frame, 120), 160, 2 * frame)


def write_film(path: pathlib.Path, frames=5, turn=0) -> None:
    """Writes a video of a stick figure.

    With a `turn`, the frames are stored rotated and tagged with the display matrix, so that a player displays the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (np.rot90(render(points_at(i)), turn // 90) for i in range(frames))
    videos.write_frames(((0.04 * i * i, image) for i, image in enumerate(stored)), path)
    content = path.read_bytes()
    matrix = (np.array([*TAGS[turn][:2], 0, *TAGS[turn][2:], 0, 0, 0, 1 << 14]) << 16).astype(">i4")
    place = content.find(b"tkhd") + 44
    path.write_bytes(content[:place] + matrix.tobytes() + content[place + 36 :])


def start(inputs, out, finder=None, box_source=None, options=PLAIN):
    inputs = [inputs] if isinstance(inputs, pathlib.Path) else inputs
    return batch_job.run(
        finder or StickFigureFinder(), find_sources(inputs, out), out, box_source or BoxSource(), options, {"set": []}
    )


def contents(out: pathlib.Path) -> dict:
    """Returns the contents of all files of a job except the manifest, by relative path."""
    return {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"
    }


@pytest.mark.parametrize("turn", TAGS)
def test_video_keypoints_are_in_displayed_pixels_with_frame_times(tmp_path, turn):
    write_film(tmp_path / "film.mp4", turn=turn)
    start(tmp_path / "film.mp4", tmp_path / "out")
    poses = tidy.read(tmp_path / "out" / "film" / "keypoints.csv", STICK_FIGURE)
    assert len(poses.row) == 5
    for frame in range(5):
        assert np.abs(poses.keypoints[frame, :, :2] - points_at(frame)).max() < 3  # H.264 blurs colours
    np.testing.assert_allclose(poses.times, [0, 0.04, 0.16, 0.36, 0.64], atol=1e-4)
    assert [r["image_id"] for r in json.loads((tmp_path / "out/film/keypoints.json").read_text())] == [0, 1, 2, 3, 4]


def test_exif_orientation_does_not_change_the_keypoints(tmp_path):
    points = points_at(3)
    upright = Image.fromarray(render(points))
    # Pillow's transpositions from the upright image to the stored one, by EXIF orientation.
    back = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}
    for tag, transpositions in back.items():
        stored = upright
        for transposition in transpositions:
            stored = stored.transpose(Image.Transpose(transposition))
        exif = Image.Exif()
        exif[0x0112] = tag
        stored.save(tmp_path / f"{tag}.jpg", exif=exif, quality=100, subsampling=0)
        stored.save(tmp_path / f"1{tag}.png", exif=exif)
    summary = start(tmp_path, tmp_path / "out")
    assert (summary.frames, summary.found) == (16, 16)
    poses = tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE)
    assert sorted(poses.numbers.tolist()) == [*range(1, 9), *range(11, 19)]
    for keypoints in poses.keypoints:
        np.testing.assert_allclose(keypoints[:, :2], poses.keypoints[0, :, :2], atol=0.3)
        assert np.abs(keypoints[:, :2] - points).max() < 1.5


def test_image_numbers_are_file_names_if_these_are_different_integers():
    assert image_numbers(["b/000007.jpg", "a/12.png"]) == [7, 12]
    assert image_numbers(["7.jpg", "a/7.png"]) == [0, 1]
    assert image_numbers(["7.jpg", "a.png"]) == [0, 1]


def test_all_output_options(tmp_path):
    write_film(tmp_path / "film.mp4")
    options = OutputOptions(("coco", "csv", "deeplabcut", "openpose"), overlay=True, mosaic=True)
    start(tmp_path / "film.mp4", tmp_path / "out", options=options)
    written = contents(tmp_path / "out")
    names = ["deeplabcut.csv", "keypoints.csv", "keypoints.json", "overlay.mp4", "sheet.jpg"]
    names += [f"openpose/film_{i:012}_keypoints.json" for i in range(5)]
    assert sorted(written) == sorted(f"film/{name}" for name in names)
    frames = list(videos.read_frames(tmp_path / "out" / "film" / "overlay.mp4"))
    np.testing.assert_allclose([f.seconds for f in frames], [0, 0.04, 0.16, 0.36, 0.64], atol=1e-4)
    assert frames[0].image.shape == (240, 320, 3)


def test_boxes_are_fixed_or_read_from_a_file_or_the_full_image(tmp_path):
    for name in "ab":
        write_film(tmp_path / "in" / f"{name}.mp4", frames=20)
    (tmp_path / "boxes").mkdir()
    for name in "ab":
        entries = [
            {"image_id": i, "category_id": 1, "bbox": [70, 30, 180, 180], "score": 1} for i in range(20) if i % 5 != 2
        ]
        entries.append({"image_id": 4, "category_id": 2, "bbox": [1, 1, 1, 1], "score": 1})  # not a person
        (tmp_path / "boxes" / f"{name}.json").write_text(json.dumps(entries + entries[:1]))
    for number, (box_source, counts) in enumerate({
        BoxSource(boxes=((70, 30, 180, 180), (60, 20, 200, 200))): [2] * 20,
        BoxSource(whole=True): [1] * 20,
        BoxSource(detections=tmp_path / "boxes"): [2, *(int(i % 5 != 2) for i in range(1, 20))],
    }.items()):  # fmt: skip
        out = tmp_path / f"out{number}"
        start(tmp_path / "in", out, box_source=box_source)
        poses = tidy.read(out / "b" / "keypoints.csv", STICK_FIGURE)
        assert np.bincount(poses.row, minlength=20).tolist() == counts
        assert np.abs(poses.keypoints[0, :, :2] - points_at(0)).max() < 2
        assert len(poses.times) == 20


def test_detections_identify_images_by_number_or_name(tmp_path):
    for name in ("5.png", "x.png"):
        Image.fromarray(render(points_at(0))).save(tmp_path / name)
    entry = {"category_id": 1, "bbox": [70, 30, 180, 180], "score": 1}
    (tmp_path / "boxes.json").write_text(
        json.dumps([{"image_id": 0, **entry}, {"image_id": 9, "file_name": "x.png", **entry}])
    )
    start(tmp_path, tmp_path / "out", box_source=BoxSource(detections=tmp_path / "boxes.json"))
    read = coco.read(tmp_path / "out" / "images" / "keypoints.json", STICK_FIGURE)
    assert read.files == ("5.png", "x.png")


class Killed(BaseException):
    """Simulates that the process is killed."""


class KilledFinder(StickFigureFinder):
    """A predictor that raises Killed after `after` crops."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def start(self, crops):
        if self.crops > self.after:
            raise Killed
        return super().start(crops)


def test_killed_job_resumes_with_the_same_results(tmp_path):
    for number in range(4):
        write_film(tmp_path / "in" / f"{number}.mp4", frames=3 + number)
    (tmp_path / "in" / "1b.mp4").write_bytes(b"broken")
    options = OutputOptions(overlay=True)
    complete = start(tmp_path / "in", tmp_path / "complete", options=options)
    assert (complete.done, complete.before, complete.frames, len(complete.failures)) == (4, 0, 18, 1)
    assert "1b.mp4" in complete.failures[0]

    finder = StickFigureFinder()
    start(tmp_path / "in" / "0.mp4", tmp_path / "count", finder)
    with pytest.raises(Killed):
        start(tmp_path / "in", tmp_path / "out", KilledFinder(2 * finder.crops + 1), options=options)
    done = json.loads((tmp_path / "out" / "manifest.json").read_text())["done"]
    assert 1 <= len(done) <= 3
    times = {path: path.stat().st_mtime_ns for name in done for path in (tmp_path / "out" / name).iterdir()}
    again = start(tmp_path / "in", tmp_path / "out", options=options)
    assert (again.done, again.before) == (4 - len(done), len(done))
    assert len(again.failures) == 1
    assert {path: path.stat().st_mtime_ns for path in times} == times  # completed results are not written again
    assert contents(tmp_path / "out") == contents(tmp_path / "complete")

    idle = StickFigureFinder()
    last = start(tmp_path / "in", tmp_path / "out", idle, options=options)
    assert (last.done, last.before, last.frames, idle.crops) == (0, 4, 0, 0)
    write_film(tmp_path / "in" / "1b.mp4")
    write_film(tmp_path / "in" / "0.mp4", frames=7)  # the file has changed
    repaired = start(tmp_path / "in", tmp_path / "out", options=options)
    assert (repaired.done, repaired.before, repaired.frames, repaired.failures) == (2, 3, 12, [])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["failed"] == {}
    assert manifest["done"]["0"]["frames"] == 7


def test_unreadable_image_does_not_stop_the_job(tmp_path):
    Image.fromarray(render(points_at(0))).save(tmp_path / "a.png")
    Image.fromarray(render(None, (1, 1))).save(tmp_path / "c.png")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    summary = start(tmp_path, tmp_path / "out", options=OutputOptions(overlay=True, mosaic=True))
    assert (summary.done, summary.frames, summary.found) == (0, 2, 1)
    (failure,) = summary.failures
    assert "b.jpg" in failure
    written = contents(tmp_path / "out")
    assert {"images/overlay/a.png.jpg", "images/overlay/c.png.jpg", "images/sheet.jpg"} < written.keys()
    assert tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE).files == ("a.png", "c.png")


def test_folder_of_another_job_is_refused(tmp_path):
    write_film(tmp_path / "film.mp4", frames=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    with pytest.raises(UserError, match=r"/other\b"):
        start(tmp_path / "film.mp4", tmp_path / "other")
    start(tmp_path / "film.mp4", tmp_path / "out")
    with pytest.raises(UserError, match=r"/out: .*\bwhole\b.* False.* True\b"):
        start(tmp_path / "film.mp4", tmp_path / "out", box_source=BoxSource(whole=True))
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: "):
        start(tmp_path / "film.mp4", tmp_path / "out")


def test_box_outside_the_frame_fails_its_video_with_a_one_line_error(tmp_path):
    write_film(tmp_path / "film.mp4", frames=1)
    summary = start(tmp_path / "film.mp4", tmp_path / "out", box_source=BoxSource(boxes=((900, 9, 5, 5),)))
    (failure,) = summary.failures
    assert failure.startswith(f"{tmp_path}/film.mp4, frame 0: box (900, 9, 5, 5) ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]


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
