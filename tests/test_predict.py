"""The program `aggpose predict`, started as users start it."""

import json
import time

import numpy as np
import pytest
from PIL import Image
from programs import run, start
from tiny import write_run

from aggpose_jax import predict
from aggpose_jax.data import videos
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.errors import UserError


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    return folder


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Ten short videos, the fourth of which is truncated."""
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


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["video.mp4"], ["--out"]),
        (["--out=x"], ["INPUT"]),
        (["video.mp4", "--out=x", "--box=1,2,3"], ["--box", "1,2,3"]),
        (["video.mp4", "--out=x", "--box=1,2,3,4", "--whole"], ["--box", "--whole"]),
        (["video.mp4", "--out=x", "--formats=csv,xml"], ["--formats", "xml", "coco, csv"]),
        (["video.mp4", "--out=x", "--persons=0"], ["--persons", "0"]),
        (["video.mp4", "--out=x", "--start=-1"], ["--start", "-1"]),
        (["video.mp4", "--out=x", "--end=nan"], ["--end", "nan"]),
    ],
)
def test_a_usage_error_is_one_line(arguments, parts, capsys):
    with pytest.raises(SystemExit) as end:
        predict.parser().parse(["--checkpoint=nowhere", *arguments])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--start=5", "--end=5"], ["--start 5", "--end 5"]),
        (["--persons=2", "--whole"], ["--persons"]),
        (["--persons=2", "--box=1,2,3,4"], ["--persons"]),
    ],
)
def test_options_that_contradict_each_other_are_named_before_anything_is_read(arguments, parts):
    with pytest.raises(UserError) as error:
        predict.main(predict.parser().parse(["nothing.mp4", "--out=nowhere", *arguments]))
    assert all(part in str(error.value) for part in parts)


def test_formats_of_videos_are_named_if_there_are_images(capsys):
    predict.check_image_formats(["csv", "coco"])
    assert capsys.readouterr().out == ""
    predict.check_image_formats(["csv", "movement"])
    assert "movement" in capsys.readouterr().out
    with pytest.raises(UserError, match="movement, nwb; add csv"):
        predict.check_image_formats(["movement", "nwb"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing.mp4"], ["nothing.mp4"]),
        (["{films}/0.mp4", "--config.keypoint_set=coco_17", "--config.data=coco"], ["infant_21", "coco_17"]),
        (["{films}/3.mp4"], ["3.mp4"]),
        (["{films}/0.mp4", "--box=900,0,9,9"], ["0.mp4, frame 0", "(900, 0, 9, 9)", "320"]),
    ],
)
def test_a_user_error_is_one_line_and_writes_no_results(workdir, films, tmp_path, arguments, parts):
    arguments = [argument.format(films=films) for argument in arguments]
    ended = run("predict", f"--checkpoint={workdir}", f"--out={tmp_path / 'out'}", *arguments)
    assert ended.returncode == 1
    *bar, line = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in parts)
    assert not any("Traceback" in other for other in bar)
    assert contents(tmp_path / "out").keys() <= {"manifest.json"}


@pytest.mark.slow
def test_a_killed_job_resumes_and_a_broken_video_does_not_stop_it(workdir, films, tmp_path):
    arguments = [
        "predict",
        f"--checkpoint={workdir}",
        str(films),
        "--whole",
        "--formats=coco,csv,openpose",
        "--mosaic=head",
    ]
    undisturbed = run(*arguments, f"--out={tmp_path / 'undisturbed'}")
    assert undisturbed.returncode == 1
    assert undisturbed.stderr.splitlines()[-1].startswith(f"error: {films}/3.mp4")
    assert "9 done in this run, 0 before" in undisturbed.stdout

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
    assert f"{9 - len(done)} done in this run, {len(done)} before" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert contents(out) == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_images_of_all_kinds(workdir, tmp_path):
    """Images that are grey, have an alpha channel, have one pixel, or are 8K."""
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
    video = test_data / "video" / "people_outdoors.mp4"
    ended = run("predict", f"--checkpoint={workdir}", str(video), f"--out={tmp_path / 'out'}")
    assert ended.returncode == 0, ended.stderr
    written = contents(tmp_path / "out")
    names = ("keypoints.csv", "keypoints.json", "overlay.mp4", "sheet.jpg", "video.json")
    assert written.keys() == {"manifest.json", *(f"people_outdoors/{name}" for name in names)}
    assert len(list(videos.read_frames(tmp_path / "out" / "people_outdoors" / "overlay.mp4"))) == 5
