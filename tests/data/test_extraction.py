"""Extraction of frames from videos into shards."""

import json
import os
import signal
import subprocess
import time

import av
import numpy as np
import programs
import pytest

from aggpose_jax import cli, prepare
from aggpose_jax.data import extraction, frames, shards, videos
from aggpose_jax.data.images import read_image
from aggpose_jax.errors import UserError

TIMES = [0, 0.1, 0.6, 0.9, 1.0, 2.2, 2.3]  # seconds; in intervals of 1/2 second: 0, 0, 1, 1, 2, 4, 4


def film(path, times=TIMES, size=(48, 64), step: int = 30) -> None:
    """Writes a video whose frames have the brightness 20, 20 + step, …, with a white square at the upper left."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def image_of(number):
        image = np.full((*size, 3), 20 + step * number, np.uint8)
        image[8:24, 8:24] = 255
        return image

    videos.write_frames(((t, image_of(number)) for number, t in enumerate(times)), path)


@pytest.fixture
def films(tmp_path):
    film(tmp_path / "films" / "a.mp4")
    film(tmp_path / "films" / "ward.1" / "b.mp4", times=[0, 0.5])
    return tmp_path / "films"


def extract(path, out, fps=2.0, longest_side=320, distinct=0.0, **options):
    settings = extraction.Settings(fps, longest_side, 95, distinct)
    return extraction.extract(extraction.find_videos([path]), out, settings, **options)


def read(out, shard) -> list[shards.StoredFrame]:
    return [shards.read_record(str(out / shard.file), n, shard.frames) for n in range(shard.frames)]


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_first_frame_of_each_interval_is_extracted(films, tmp_path):
    manifest = extract(films, tmp_path / "out")
    assert [(shard.video, shard.file, shard.frames) for shard in manifest.shards] == [
        ("a", "shards/a.array_record", 4), ("ward.1/b", "shards/ward.1/b.array_record", 2),
    ]  # fmt: skip
    stored = read(tmp_path / "out", manifest.shards[0])
    assert [frame.frame for frame in stored] == [0, 2, 4, 5]
    np.testing.assert_allclose([frame.seconds for frame in stored], [0, 0.6, 1.0, 2.2], atol=1e-4)
    assert {frame.video for frame in stored} == {"a"}
    brightness = [read_image(frame.image)[40, 40, 0] for frame in stored]
    np.testing.assert_allclose(brightness, [20, 80, 140, 170], atol=4)


def test_zero_fps_extracts_all_frames(films, tmp_path):
    assert extract(films, tmp_path / "out", fps=0).shards[0].frames == len(TIMES)


def test_the_manifest_has_the_counts_sizes_and_hashes_of_the_shards(films, tmp_path):
    manifest = extract(films, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (content["videos"], content["frames"]) == (2, 6)
    for shard in manifest.shards:
        output = subprocess.run(["sha256sum", tmp_path / "out" / shard.file], capture_output=True, check=True).stdout
        assert output.split()[0].decode() == shard.sha256
        assert (tmp_path / "out" / shard.file).stat().st_size == shard.bytes
    assert content["bytes"] == sum(shard.bytes for shard in manifest.shards)
    assert frames.open_source(tmp_path / "out", stride=4).counts() == {"videos": 2, "segments": 2, "frames": 6}


def test_large_frames_are_resized_and_small_ones_are_not(films, tmp_path):
    for side, expected in ((32, (24, 32, 3)), (320, (48, 64, 3))):
        out = tmp_path / str(side)
        assert read_image(read(out, extract(films, out, longest_side=side).shards[0])[0].image).shape == expected


def test_frames_that_differ_too_little_from_the_last_extracted_one_are_skipped(tmp_path):
    film(tmp_path / "films" / "a.mp4", times=[0, 1, 2, 3, 4], step=4)
    # A step of 4 grey levels outside the unchanging white square gives a mean difference of less than 6 between
    # neighbouring frames, and of more than 6 between every second frame.
    (shard,) = extract(tmp_path / "films", tmp_path / "out", distinct=6.0).shards
    assert [frame.frame for frame in read(tmp_path / "out", shard)] == [0, 2, 4]


def test_frames_are_cropped_to_boxes_and_heads_are_pixelated(films, tmp_path):
    (tmp_path / "crop.json").write_text(json.dumps({name: [[0, 0, 0, 32, 32]] for name in ("a", "ward.1/b")}))
    (tmp_path / "head.json").write_text(json.dumps({name: [[0, 6, 6, 24, 24]] for name in ("a", "ward.1/b")}))
    options = {"crop": tmp_path / "crop.json", "mosaic": tmp_path / "head.json"}
    plain, pixelated = extract(films, tmp_path / "plain"), extract(films, tmp_path / "pixelated", **options)
    image = read_image(read(tmp_path / "pixelated", pixelated.shards[0])[0].image)
    assert image.shape == (32, 32, 3)
    original = read_image(read(tmp_path / "plain", plain.shards[0])[0].image)[:32, :32]
    assert abs(int(original[6, 6, 0]) - 20) < 12
    # A quarter of the first patch, from pixel 6 to 10, lies in the white square of 255.
    np.testing.assert_allclose(image[6:10, 6:10], 20 + 235 / 4, atol=12)
    with pytest.raises(UserError, match=r"pixelated .*crop"):
        extract(films, tmp_path / "pixelated", mosaic=tmp_path / "head.json")


def test_a_video_with_a_crop_box_outside_the_image_is_skipped(films, tmp_path):
    (tmp_path / "crop.json").write_text(json.dumps({"a": [[0, 99, 0, 9, 9]], "ward.1/b": [[0, 0, 0, 9, 9]]}))
    manifest = extract(films, tmp_path / "out", crop=tmp_path / "crop.json")
    assert [shard.video for shard in manifest.shards] == ["ward.1/b"]
    assert "a.mp4: the crop box at frame 0" in manifest.skipped["a"]


def test_finished_videos_are_not_read_again(films, tmp_path, monkeypatch):
    extract(films, tmp_path / "out")
    before = contents(tmp_path / "out")
    monkeypatch.setattr(videos, "read_frames", lambda *_: pytest.fail("read again"))
    extract(films, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert not [name for name in before if "partial" in name]


def test_parts_and_processes_write_the_same_files_as_one_run(films, tmp_path):
    extract(films, tmp_path / "full")
    assert extract(films, tmp_path / "parts", part=(1, 2), processes=2) is None
    assert not (tmp_path / "parts" / "manifest.json").exists()
    assert extract(films, tmp_path / "parts", part=(0, 2)) is not None
    assert contents(tmp_path / "parts") == contents(tmp_path / "full")


def test_an_unreadable_video_is_skipped_and_tried_again(films, tmp_path):
    intact = (films / "a.mp4").read_bytes()
    (films / "a.mp4").write_bytes(intact[:-300])
    manifest = extract(films, tmp_path / "out")
    assert [shard.video for shard in manifest.shards] == ["ward.1/b"]
    assert "a.mp4" in manifest.skipped["a"]
    assert not list((tmp_path / "out" / "shards").glob("*a*record*"))
    (films / "a.mp4").write_bytes(intact)
    assert not extract(films, tmp_path / "out").skipped


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="requires /dev/full")
def test_the_error_of_a_full_disk_names_the_file():
    with pytest.raises(OSError, match="No space left on device") as raised:
        shards.write_records([shards.StoredFrame("a", 0, 0.0, bytes(10**6))], "/dev/full")
    assert raised.value.filename == "/dev/full"


def test_resuming_with_other_settings_is_an_error(films, tmp_path):
    extract(films, tmp_path / "out")
    with pytest.raises(UserError, match=r"out .*fps 2\.0.* 3\.0"):
        extract(films, tmp_path / "out", fps=3.0)


def test_duplicate_names_and_folders_without_videos_are_errors(films, tmp_path):
    (films / "a.mov").write_bytes((films / "a.mp4").read_bytes())
    with pytest.raises(UserError, match=r"a\.mov.*video a"):
        extraction.find_videos([films])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: .*\.mp4"):
        extraction.find_videos([tmp_path / "empty"])
    assert extraction.find_videos([films / "a.mp4", films / "ward.1"]) == {
        "a": films / "a.mp4", "b": films / "ward.1" / "b.mp4",
    }  # fmt: skip


def test_hidden_files_and_results_of_predict_in_a_folder_are_no_videos(films):
    for name in ("._a.mp4", ".trash/c.mp4", "keypoints/a/overlay.mp4"):
        (films / name).parent.mkdir(parents=True, exist_ok=True)
        (films / name).write_bytes((films / "a.mp4").read_bytes())
    (films / "keypoints" / "manifest.json").write_text('{"settings": {}, "done": {}, "failed": {}}')
    (films / "session.mp4").mkdir()
    assert list(extraction.find_videos([films])) == ["a", "ward.1/b"]


@pytest.mark.parametrize("text", ["2/2", "1", "-1/2", "a/b"])
def test_an_invalid_shard_option_is_an_error(text, capsys):
    with pytest.raises(SystemExit):
        prepare.parser().parse(["frames", "a.mp4", "--out=x", f"--shard={text}"])
    assert "--shard" in capsys.readouterr().err


def test_the_program_lists_skipped_videos_and_exits_with_status_1(films, tmp_path, capsys):
    (films / "bad.mp4").write_bytes(b"no video" * 50)
    argv = ["frames", str(films), f"--out={tmp_path / 'out'}", "--processes=1"]
    with pytest.raises(SystemExit) as end:
        cli.run(prepare.parser, prepare.main, argv)
    captured = capsys.readouterr()
    assert end.value.code == 1
    assert "2 videos" in captured.out
    assert "error: 1 videos were skipped and 0 lack frames" in captured.err
    assert "bad.mp4" in captured.err


def test_the_frames_of_a_damaged_video_are_extracted_and_it_is_named_and_tried_again(tmp_path, capsys):
    path = tmp_path / "films" / "a.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(100):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        container.mux(stream.encode())
    intact = path.read_bytes()
    path.write_bytes(intact[: len(intact) // 2])
    argv = ["frames", str(path), f"--out={tmp_path / 'out'}", "--processes=1"]
    with pytest.raises(SystemExit):
        cli.run(prepare.parser, prepare.main, argv)
    assert "0 videos were skipped and 1 lack frames" in capsys.readouterr().err
    manifest = shards.read_manifest(tmp_path / "out")
    assert "a.mkv is damaged: " in manifest.damaged["a"]
    assert " of 100 frames" in manifest.damaged["a"]
    few = manifest.shards[0].frames
    path.write_bytes(intact)
    cli.run(prepare.parser, prepare.main, argv)
    manifest = shards.read_manifest(tmp_path / "out")
    assert manifest.damaged == {}
    assert manifest.shards[0].frames > few > 0


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_resumes_and_writes_the_same_files(tmp_path, processes):
    rng = np.random.default_rng(0)
    for name in "abcd":
        noise = rng.integers(0, 256, (240, 320, 3), np.uint8)
        (tmp_path / "films").mkdir(exist_ok=True)
        moving = ((n / 30, np.roll(noise, 5 * n, axis=1)) for n in range(120))
        videos.write_frames(moving, tmp_path / "films" / f"{name}.mp4")
    arguments = ("frames", str(tmp_path / "films"), "--fps=0", f"--processes={processes}", "--out")
    assert programs.run("prepare", *arguments, str(tmp_path / "full")).returncode == 0

    out = tmp_path / "killed"
    process = programs.start("prepare", *arguments, str(out))
    deadline = time.monotonic() + 60
    while not (list(out.glob("shards/*.json")) and list(out.glob("shards/.*.partial"))):
        assert process.poll() is None, "the run finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (out / "manifest.json").exists()
    finished = {p: p.stat().st_mtime_ns for p in out.glob("shards/*.json")}
    assert 1 <= len(finished) < 4
    assert programs.run("prepare", *arguments, str(out)).returncode == 0
    assert contents(out) == contents(tmp_path / "full")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
