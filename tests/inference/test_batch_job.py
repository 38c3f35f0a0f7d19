"""Tests of batch jobs over videos and images: results, errors, and resuming after a kill."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import netcdf_file
from stick_figure_jobs import TAGS, Killed, KilledFinder, contents, points_at, start, write_film
from stick_figures import STICK_FIGURE, StickFigureFinder, render

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions, image_numbers
from aggpose_jax.recordings import coco, deeplabcut, formats, recording, tidy


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
    names = ["deeplabcut.csv", "keypoints.csv", "keypoints.json", "overlay.mp4", "sheet.jpg", "video.json"]
    names += [f"openpose/film_{i:012}_keypoints.json" for i in range(5)]
    assert sorted(written) == sorted(f"film/{name}" for name in names)
    frames = list(videos.read_frames(tmp_path / "out" / "film" / "overlay.mp4"))
    np.testing.assert_allclose([f.seconds for f in frames], [0, 0.04, 0.16, 0.36, 0.64], atol=1e-4)
    assert frames[0].image.shape == (240, 320, 3)


def test_formats_of_recordings_have_the_numbers_that_are_read_back_later(tmp_path):
    write_film(tmp_path / "film.mp4")
    names = ("movement", "deeplabcut")
    start(tmp_path / "film.mp4", tmp_path / "out", options=OutputOptions(names, overlay=False))
    folder = tmp_path / "out" / "film"
    read = recording.read(folder)
    (tmp_path / "later").mkdir()
    formats.write_recording(read, tmp_path / "later", names)
    formats.write_poses(read.poses, tmp_path / "later", "film", names)
    for variable in ("position", "confidence", "time"):
        values = []
        for place in (folder, tmp_path / "later"):
            with netcdf_file(place / "movement.nc", mmap=False) as file:
                values.append(file.variables[variable][:])
        np.testing.assert_allclose(*values, atol=6e-4)
    tables = [deeplabcut.read(place / "deeplabcut.csv", STICK_FIGURE) for place in (folder, tmp_path / "later")]
    np.testing.assert_allclose(*(table.keypoints for table in tables), atol=6e-4)


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
