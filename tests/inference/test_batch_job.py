"""A job over videos and images: what it writes, what stops it, how it goes on."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image
from stick_figures import STICK_FIGURE, StickFigureFinder, picture, stick_figure

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions, image_numbers
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.recordings import coco, tidy

TAGS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # a, b, c, d of the matrix
PLAIN = OutputOptions(formats=("coco", "csv"), overlay=False)


def points_at(frame: int) -> np.ndarray:
    return stick_figure((150 + 2 * frame, 120), 160, 2 * frame)


def write_film(path: pathlib.Path, frames=5, turn=0) -> None:
    """A film of a stick figure; with a turn it is stored turned back and tagged, so that a player shows the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (np.rot90(picture(points_at(i)), turn // 90) for i in range(frames))
    videos.write_frames(((0.04 * i * i, image) for i, image in enumerate(stored)), path)
    content = path.read_bytes()
    matrix = (np.array([*TAGS[turn][:2], 0, *TAGS[turn][2:], 0, 0, 0, 1 << 14]) << 16).astype(">i4")
    place = content.find(b"tkhd") + 44
    path.write_bytes(content[:place] + matrix.tobytes() + content[place + 36 :])


def start(inputs, out, finder=None, where=None, wanted=PLAIN):
    inputs = [inputs] if isinstance(inputs, pathlib.Path) else inputs
    return batch_job.run(
        finder or StickFigureFinder(), find_sources(inputs, out), out, where or BoxSource(), wanted, {"set": []}
    )


def contents(out: pathlib.Path) -> dict:
    """Every file of a job but the manifest."""
    return {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"
    }


@pytest.mark.parametrize("turn", TAGS)
def test_a_video_gives_keypoints_in_the_displayed_picture_with_its_times(tmp_path, turn):
    write_film(tmp_path / "film.mp4", turn=turn)
    start(tmp_path / "film.mp4", tmp_path / "out")
    poses = tidy.read(tmp_path / "out" / "film" / "keypoints.csv", STICK_FIGURE)
    assert len(poses.row) == 5
    for frame in range(5):
        assert np.abs(poses.keypoints[frame, :, :2] - points_at(frame)).max() < 3  # colours run in H.264
    np.testing.assert_allclose(poses.times, [0, 0.04, 0.16, 0.36, 0.64], atol=1e-4)
    assert [r["image_id"] for r in json.loads((tmp_path / "out/film/keypoints.json").read_text())] == [0, 1, 2, 3, 4]


def test_images_of_every_orientation_give_the_same(tmp_path):
    points = points_at(3)
    upright = Image.fromarray(picture(points))
    back = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}  # Pillow's transpositions
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


def test_numbers_of_images():
    assert image_numbers(["b/000007.jpg", "a/12.png"]) == [7, 12]
    assert image_numbers(["7.jpg", "a/7.png"]) == [0, 1]
    assert image_numbers(["7.jpg", "a.png"]) == [0, 1]


def test_everything_that_can_be_written(tmp_path):
    write_film(tmp_path / "film.mp4")
    wanted = OutputOptions(("coco", "csv", "deeplabcut", "openpose"), overlay=True, mosaic=True)
    start(tmp_path / "film.mp4", tmp_path / "out", wanted=wanted)
    written = contents(tmp_path / "out")
    names = ["deeplabcut.csv", "keypoints.csv", "keypoints.json", "overlay.mp4", "sheet.jpg"]
    names += [f"openpose/film_{i:012}_keypoints.json" for i in range(5)]
    assert sorted(written) == sorted(f"film/{name}" for name in names)
    frames = list(videos.read_frames(tmp_path / "out" / "film" / "overlay.mp4"))
    np.testing.assert_allclose([f.seconds for f in frames], [0, 0.04, 0.16, 0.36, 0.64], atol=1e-4)
    assert frames[0].image.shape == (240, 320, 3)


def test_boxes_given_found_in_a_file_or_the_whole_picture(tmp_path):
    for name in "ab":
        write_film(tmp_path / "in" / f"{name}.mp4", frames=20)
    (tmp_path / "boxes").mkdir()
    for name in "ab":
        entries = [
            {"image_id": i, "category_id": 1, "bbox": [70, 30, 180, 180], "score": 1} for i in range(20) if i % 5 != 2
        ]
        entries.append({"image_id": 4, "category_id": 2, "bbox": [1, 1, 1, 1], "score": 1})  # no person
        (tmp_path / "boxes" / f"{name}.json").write_text(json.dumps(entries + entries[:1]))
    for number, (where, counts) in enumerate({
        BoxSource(boxes=((70, 30, 180, 180), (60, 20, 200, 200))): [2] * 20,
        BoxSource(whole=True): [1] * 20,
        BoxSource(detections=tmp_path / "boxes"): [2, *(int(i % 5 != 2) for i in range(1, 20))],
    }.items()):  # fmt: skip
        out = tmp_path / f"out{number}"
        start(tmp_path / "in", out, where=where)
        poses = tidy.read(out / "b" / "keypoints.csv", STICK_FIGURE)
        assert np.bincount(poses.row, minlength=20).tolist() == counts
        assert np.abs(poses.keypoints[0, :, :2] - points_at(0)).max() < 2
        assert len(poses.times) == 20


def test_detections_of_images_by_number_and_by_name(tmp_path):
    for name in ("5.png", "x.png"):
        Image.fromarray(picture(points_at(0))).save(tmp_path / name)
    entry = {"category_id": 1, "bbox": [70, 30, 180, 180], "score": 1}
    (tmp_path / "boxes.json").write_text(
        json.dumps([{"image_id": 0, **entry}, {"image_id": 9, "file_name": "x.png", **entry}])
    )
    start(tmp_path, tmp_path / "out", where=BoxSource(detections=tmp_path / "boxes.json"))
    read = coco.read(tmp_path / "out" / "images" / "keypoints.json", STICK_FIGURE)
    assert read.files == ("5.png", "x.png")


class Stopped(BaseException):
    """Stands for a kill."""


class Stopping(StickFigureFinder):
    """Is killed after so many crops."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def start(self, crops):
        if self.crops > self.after:
            raise Stopped
        return super().start(crops)


def test_a_job_that_was_killed_goes_on_and_gives_the_same(tmp_path):
    for number in range(4):
        write_film(tmp_path / "in" / f"{number}.mp4", frames=3 + number)
    (tmp_path / "in" / "1b.mp4").write_bytes(b"broken")
    wanted = OutputOptions(overlay=True)
    whole = start(tmp_path / "in", tmp_path / "whole", wanted=wanted)
    assert (whole.done, whole.before, whole.frames, len(whole.failures)) == (4, 0, 18, 1)
    assert "1b.mp4 cannot be read as a video" in whole.failures[0]

    finder = StickFigureFinder()
    start(tmp_path / "in" / "0.mp4", tmp_path / "count", finder)
    with pytest.raises(Stopped):
        start(tmp_path / "in", tmp_path / "out", Stopping(2 * finder.crops + 1), wanted=wanted)
    done = json.loads((tmp_path / "out" / "manifest.json").read_text())["done"]
    assert 1 <= len(done) <= 3
    times = {path: path.stat().st_mtime_ns for name in done for path in (tmp_path / "out" / name).iterdir()}
    again = start(tmp_path / "in", tmp_path / "out", wanted=wanted)
    assert (again.done, again.before) == (4 - len(done), len(done))
    assert len(again.failures) == 1
    assert {path: path.stat().st_mtime_ns for path in times} == times  # not done again
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")

    idle = StickFigureFinder()
    last = start(tmp_path / "in", tmp_path / "out", idle, wanted=wanted)
    assert (last.done, last.before, last.frames, idle.crops) == (0, 4, 0, 0)
    write_film(tmp_path / "in" / "1b.mp4")
    write_film(tmp_path / "in" / "0.mp4", frames=7)  # has changed
    mended = start(tmp_path / "in", tmp_path / "out", wanted=wanted)
    assert (mended.done, mended.before, mended.frames, mended.failures) == (2, 3, 12, [])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["failed"] == {}
    assert manifest["done"]["0"]["frames"] == 7


def test_an_image_that_cannot_be_read_does_not_stop_the_rest(tmp_path):
    Image.fromarray(picture(points_at(0))).save(tmp_path / "a.png")
    Image.fromarray(picture(None, (1, 1))).save(tmp_path / "c.png")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    summary = start(tmp_path, tmp_path / "out", wanted=OutputOptions(overlay=True, mosaic=True))
    assert (summary.done, summary.frames, summary.found) == (0, 2, 1)
    (failure,) = summary.failures
    assert "b.jpg" in failure
    written = contents(tmp_path / "out")
    assert {"images/overlay/a.png.jpg", "images/overlay/c.png.jpg", "images/sheet.jpg"} < written.keys()
    assert tidy.read(tmp_path / "out" / "images" / "keypoints.csv", STICK_FIGURE).files == ("a.png", "c.png")


def test_a_folder_of_other_results_is_refused(tmp_path):
    write_film(tmp_path / "film.mp4", frames=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    with pytest.raises(UserError, match="other holds other files; choose a new folder"):
        start(tmp_path / "film.mp4", tmp_path / "other")
    start(tmp_path / "film.mp4", tmp_path / "out")
    with pytest.raises(UserError, match=r"out: holds results of another job \(whole False there, True here\)"):
        start(tmp_path / "film.mp4", tmp_path / "out", where=BoxSource(whole=True))
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as that of a job"):
        start(tmp_path / "film.mp4", tmp_path / "out")


def test_a_box_outside_fails_its_video_in_one_line(tmp_path):
    write_film(tmp_path / "film.mp4", frames=1)
    summary = start(tmp_path / "film.mp4", tmp_path / "out", where=BoxSource(boxes=((900, 9, 5, 5),)))
    (failure,) = summary.failures
    assert failure.startswith(f"{tmp_path}/film.mp4, frame 0: box (900, 9, 5, 5) lies outside of the 320 × 240 image")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]
