"""The predicting program as a user starts it."""

import json
import time

import numpy as np
import pytest
from PIL import Image
from programs import run, start
from tiny import write_run

from aggpose_jax.data import videos
from aggpose_jax.data.synthetic import SyntheticMovement


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Ten short films, the fourth of which is broken."""
    folder = tmp_path_factory.mktemp("films")
    source = SyntheticMovement(10, 6)
    for video in range(10):
        frames = ((i / 30, source[6 * video + i]["image"]) for i in range(6))
        videos.write_frames(frames, folder / f"{video}.mp4")
    (folder / "3.mp4").write_bytes((folder / "3.mp4").read_bytes()[:500])
    return folder


def contents(out) -> dict:
    files = [path for path in out.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_mistakes_on_the_command_line_are_one_line(tmp_path):
    ended = run("predict", "--checkpoint=nowhere", "film.mp4")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: give videos, images or folders and --out: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.mp4"], "nothing.mp4: no such file or folder"),
        (["{films}/0.mp4", "--box=1,2,3"], "--box: 1,2,3 is not X,Y,W,H; give four numbers in pixels"),
        (["{films}/0.mp4", "--box=1,2,3,4", "--whole"], "--box, --boxes and --whole exclude each other"),
        (["{films}/0.mp4", "--formats=csv,xml"], "--formats: xml is unknown; known are coco, csv"),
        (["{films}/0.mp4", "--config.keypoint_set=coco_17", "--config.data=coco"], "finds infant_21, not coco_17"),
        (["{films}/3.mp4"], "3.mp4 cannot be read as a video"),
        (
            ["{films}/0.mp4", "--box=900,0,9,9"],
            "0.mp4, frame 0: box (900, 0, 9, 9) lies outside of the 320",
        ),
    ],
)
def test_mistakes_are_one_line(workdir, films, tmp_path, arguments, message):
    arguments = [argument.format(films=films) for argument in arguments]
    ended = run("predict", f"--checkpoint={workdir}", f"--out={tmp_path / 'out'}", *arguments)
    assert ended.returncode == 1
    *bar, line = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not any("Traceback" in other for other in bar)
    assert contents(tmp_path / "out").keys() <= {"manifest.json"}


@pytest.mark.slow
def test_a_killed_job_goes_on_and_a_broken_video_does_not_stop_it(workdir, films, tmp_path):
    arguments = [
        "predict",
        f"--checkpoint={workdir}",
        str(films),
        "--whole",
        "--formats=coco,csv,openpose",
        "--mosaic=head",
    ]
    whole = run(*arguments, f"--out={tmp_path / 'whole'}")
    assert whole.returncode == 1
    assert whole.stderr.splitlines()[-1].startswith(f"error: {films}/3.mp4 cannot be read as a video")
    assert "9 done now, 0 before" in whole.stdout

    out = tmp_path / "out"
    process = start(*arguments, f"--out={out}")
    while not (out / "manifest.json").exists() or len(json.loads((out / "manifest.json").read_text())["done"]) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    done = json.loads((out / "manifest.json").read_text())["done"]
    assert 4 <= len(done) < 9
    times = {path: path.stat().st_mtime_ns for name in done for path in (out / name).rglob("*")}
    again = run(*arguments, f"--out={out}")
    assert again.returncode == 1
    assert f"{9 - len(done)} done now, {len(done)} before" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_images_of_all_kinds(workdir, tmp_path):
    """Grey, with alpha, of one pixel, of 8K."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (90, 120), np.uint8)).save(folder / "grey.png")
    Image.fromarray(rng.integers(0, 256, (90, 120, 4), np.uint8)).save(folder / "alpha.png")
    Image.fromarray(rng.integers(0, 256, (1, 1, 3), np.uint8)).save(folder / "one.png")
    Image.fromarray(rng.integers(0, 256, (540, 960, 3), np.uint8)).resize((7680, 4320)).save(folder / "large.jpg")
    ended = run("predict", f"--checkpoint={workdir}", str(folder), f"--out={tmp_path / 'out'}", "--whole")
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "out" / "images" / "keypoints.json").read_text())
    assert [result["file_name"] for result in results] == ["alpha.png", "grey.png", "large.jpg", "one.png"]
    assert np.isfinite([result["keypoints"] for result in results]).all()


@pytest.mark.slow
def test_the_real_video(workdir, test_data, tmp_path):
    film = test_data / "video" / "people_outdoors.mp4"
    ended = run("predict", f"--checkpoint={workdir}", str(film), f"--out={tmp_path / 'out'}")
    assert ended.returncode == 0, ended.stderr
    written = contents(tmp_path / "out")
    names = ("keypoints.csv", "keypoints.json", "overlay.mp4", "sheet.jpg")
    assert written.keys() == {"manifest.json", *(f"people_outdoors/{name}" for name in names)}
    assert len(list(videos.read_frames(tmp_path / "out" / "people_outdoors" / "overlay.mp4"))) == 5
