"""Segments of videos, and the frames drawn from them."""

import collections
import itertools
import json
import pickle

import cv2
import numpy as np
import pytest
from absl import flags

from aggpose_jax.data import frames, pipeline, shards
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.errors import UserError

LENGTHS = {"baby_a": 7, "baby_b": 1, "nothing": 0, "ward/baby_c": 12}
STRIDE = 4
SEGMENTS = 2 + 1 + 0 + 3  # by hand: ceil(7 / 4), ceil(1 / 4), 0, 12 / 4


def jpeg(value: int) -> bytes:
    _, encoded = cv2.imencode(".jpg", np.full((8, 8, 3), value, np.uint8))
    return encoded.tobytes()


def write_shards(directory, lengths=LENGTHS) -> None:
    """Shards whose frames have the numbers 0, 10, 20, … and pictures as bright."""
    found = []
    for video, count in lengths.items():
        path = directory / shards.FOLDER / f"{video}{shards.SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = [shards.StoredFrame(video, 10 * n, n / 3, jpeg(10 * n)) for n in range(count)]
        assert shards.write_records(content, path) == count
        found.append(
            shards.Shard(video, str(path.relative_to(directory)), count, path.stat().st_size, "0" * 64)._asdict()
        )
    (directory / shards.MANIFEST).write_text(json.dumps({"shards": found, "skipped": {"broken": "is damaged"}}))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder)
    return folder


@pytest.fixture
def excluded(tmp_path):
    file = tmp_path / "test_videos.txt"
    file.write_text("baby_a\nbroken\n\n")
    return file


def drawn(source, epochs: float, **options) -> list[tuple[int, int]]:
    """(video, frame) of so many epochs in the order of training."""
    batch_size = options.pop("batch_size", 2)
    start = options.get("start", 0)

    def make_batch(records, generators):
        frames = [source.draw(record, rng) for record, rng in zip(records, generators, strict=True)]
        return {name: np.array([frame[name] for frame in frames]) for name in ("video_id", "frame", "id")}

    batches = pipeline.training_batches(source, make_batch, batch_size=batch_size, seed=3, **options)
    stop = round(epochs * len(source) / batch_size) - start
    taken = list(itertools.islice(batches, stop))
    return [pair for b in taken for pair in zip(b["video_id"].tolist(), b["frame"].tolist(), strict=True)]


def test_segments_are_those_counted_by_hand(directory):
    source = frames.open_source(directory, stride=STRIDE)
    assert len(source) == SEGMENTS
    assert [(r["video_id"], r["segment"], r["id"]) for r in (source[i] for i in range(len(source)))] == [
        (1, 0, 0), (1, 1, 4), (2, 0, 7), (4, 0, 8), (4, 1, 12), (4, 2, 16),
    ]  # fmt: skip
    assert source.counts() == {"videos": 3, "segments": 6, "frames": 20}
    with pytest.raises(IndexError):
        source[6]


def test_a_draw_is_a_frame_of_its_segment_each_as_often(directory):
    source = frames.open_source(directory, stride=STRIDE)
    rng = np.random.default_rng(0)
    for index, numbers in ((0, [0, 10, 20, 30]), (1, [40, 50, 60]), (2, [0]), (5, [80, 90, 100, 110])):
        seen = collections.Counter(source.draw(source[index], rng)["frame"] for _ in range(400))
        assert sorted(seen) == numbers
        assert min(seen.values()) > 400 / len(numbers) * 0.7


def test_a_drawn_frame_is_that_of_its_place(directory):
    source = frames.open_source(directory, stride=STRIDE)
    for seed in range(8):
        frame = source.draw(source[4], np.random.default_rng(seed))
        place = frame["id"] - 8
        assert frame["frame"] == 10 * place
        assert abs(int(read_image(frame["image"])[0, 0, 0]) - 10 * place) <= 2
        assert source.file_name(frame["id"]) == f"shards/ward/baby_c.array_record record {place}"


def test_an_epoch_has_each_segment_once_and_the_next_one_other_frames(directory):
    source = frames.open_source(directory, stride=STRIDE)
    pairs = drawn(source, 10)
    epochs = [sorted(pairs[n * SEGMENTS : (n + 1) * SEGMENTS]) for n in range(10)]
    for epoch in epochs:
        assert collections.Counter((video, frame // (10 * STRIDE)) for video, frame in epoch) == collections.Counter(
            [(1, 0), (1, 1), (2, 0), (4, 0), (4, 1), (4, 2)]
        )
    assert len({tuple(epoch) for epoch in epochs}) > 5


@pytest.fixture
def parsed_flags():
    """What starts a program with absl, which grain asks in order to start workers."""
    flags.FLAGS(["tests"])


@pytest.mark.usefixtures("parsed_flags")
@pytest.mark.parametrize("later", [{"threads": 3}, {"workers": 2}])
def test_a_resumed_run_sees_the_frames_of_one_that_was_never_stopped(directory, later):
    source = frames.open_source(directory, stride=STRIDE)
    whole = drawn(source, 4)
    assert drawn(source, 1) + drawn(source, 4, start=3, **later) == whole


def test_excluded_videos_never_appear_in_ten_epochs(directory, excluded):
    source = frames.open_source(directory, stride=STRIDE, excluded=excluded)
    assert source.counts() == {"videos": 2, "segments": 4, "frames": 13}
    assert {video for video, _ in drawn(source, 10)} == {2, 4}
    assert {video for video, _ in drawn(frames.open_source(directory, stride=STRIDE), 10)} == {1, 2, 4}


def test_a_frame_keeps_its_id_whatever_is_left_out(directory, excluded):
    source = frames.open_source(directory, stride=STRIDE, excluded=excluded)
    assert [source[i]["id"] for i in range(4)] == [7, 8, 12, 16]


def test_parts_share_no_video_and_leave_out_the_excluded(tmp_path):
    write_shards(tmp_path, {f"video_{n}": 2 for n in range(10)})
    (tmp_path / "test.txt").write_text("video_3\nvideo_4")
    parts = {
        part: frames.open_source(tmp_path, stride=STRIDE, excluded=tmp_path / "test.txt", held_out=0.25, part=part)
        for part in frames.PARTS
    }
    videos = {part: {source[i]["video_id"] for i in range(len(source))} for part, source in parts.items()}
    assert len(videos["eval"]) == 2  # a quarter of eight
    assert videos["train"] | videos["eval"] == set(range(1, 11)) - {4, 5}
    assert not videos["train"] & videos["eval"]


def test_a_source_travels_to_another_process(directory):
    source = frames.open_source(directory, stride=STRIDE)
    source.draw(source[0], np.random.default_rng(0))
    copied = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) < 3000
    assert copied.draw(copied[3], np.random.default_rng(1)) == source.draw(source[3], np.random.default_rng(1))


def test_few_shards_stay_open(tmp_path):
    write_shards(tmp_path, {f"video_{n}": 1 for n in range(2 * shards.OPEN)})
    source = frames.open_source(tmp_path, stride=1)
    for index in range(len(source)):
        source.draw(source[index], np.random.default_rng(0))
    assert shards._reader.cache_info().currsize == shards.OPEN


def test_folders_of_images(tmp_path):
    for video, count in (("b", 3), ("a/deep", 2), (".", 1)):
        (tmp_path / video).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (tmp_path / video / f"{number}.JPG").write_bytes(jpeg(60 * number))
    (tmp_path / "notes.txt").touch()
    source = frames.open_source(tmp_path, stride=2)
    assert source.counts() == {"videos": 3, "segments": 4, "frames": 6}
    last = source.draw(source[3], np.random.default_rng(0))
    assert (last["frame"], source.file_name(last["id"])) == (2, "b/2.JPG")
    assert abs(int(read_image(last["image"])[0, 0, 0]) - 120) <= 2
    assert source.file_name(0) == "0.JPG"


def test_synthetic_frames_are_those_of_the_movement():
    source = frames.SyntheticFrames(2, 5, split="test", stride=3)
    assert source.counts() == {"videos": 2, "segments": 4, "frames": 10}
    frame = source.draw(source[3], np.random.default_rng(0))
    expected = SyntheticMovement(2, 5, split="test")[frame["id"]]
    assert (frame["video_id"], frame["frame"]) == (expected["video_id"], expected["frame"])
    np.testing.assert_array_equal(frame["image"], expected["image"])


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage(path):
    content = bytearray(path.read_bytes())
    place = content.find(b"\xff\xd8")  # the first picture
    content[place + 20 : place + 40] = b"x" * 20
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"), [(lambda path: path.unlink(), "No such file"), (cut_short, "bytes instead of")]
)
def test_a_shard_that_is_missing_or_cut_short_is_named_at_the_start(tmp_path, spoil, message):
    write_shards(tmp_path)
    spoil(tmp_path / "shards" / "baby_b.array_record")
    with pytest.raises(UserError, match=rf"baby_b\.array_record .*{message}"):
        frames.open_source(tmp_path, stride=STRIDE)
    (tmp_path / "test.txt").write_text("baby_b")
    frames.open_source(tmp_path, stride=STRIDE, excluded=tmp_path / "test.txt")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "No such file"),
        (cut_short, "has 0 frames instead of 1"),
        (damage, "is damaged at record 0"),
    ],
)
def test_a_shard_that_goes_bad_later_is_an_image_that_cannot_be_read(tmp_path, spoil, message):
    write_shards(tmp_path)
    source = frames.open_source(tmp_path, stride=STRIDE)
    spoil(tmp_path / "shards" / "baby_b.array_record")
    record = source[2]
    with pytest.raises(ImageError, match=rf"baby_b\.array_record .*{message}"):
        source.draw(record, np.random.default_rng(0))
    assert message in source.fault(record["id"])
    source.draw(source[0], np.random.default_rng(0))


def test_the_fault_of_a_segment_is_that_of_any_of_its_frames(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(4):
        (tmp_path / "a" / f"{number}.jpg").write_bytes(jpeg(0) if number != 2 else b"no image")
    source = frames.open_source(tmp_path, stride=4)
    assert "a/2.jpg" in source.fault(0)
    (tmp_path / "a" / "2.jpg").unlink()
    (tmp_path / "a" / "2.jpg").write_bytes(jpeg(0))
    assert source.fault(0) == "a/0.jpg could be read at the second attempt"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "holds no frame.*prepare frames VIDEOS --out"),
        (lambda folder: (folder / "shards").mkdir(), "run python -m aggpose_jax.prepare frames to its end"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is no manifest"),
        (lambda folder: write_shards(folder, {"nothing": 0}), "holds no frame"),
    ],
)
def test_no_frames(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        frames.open_source(tmp_path, stride=STRIDE)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("babya", "names are of no video of the data, as babya; write them like baby_a"),
        ("baby_a\nbaby_b\nward/baby_c", "holds no frame"),
    ],
)
def test_an_excluding_list_that_cannot_be_meant(directory, tmp_path, names, message):
    (tmp_path / "list").write_text(names)
    with pytest.raises(UserError, match=message):
        frames.open_source(directory, stride=STRIDE, excluded=tmp_path / "list")
    with pytest.raises(UserError, match="missing cannot be read"):
        frames.open_source(directory, stride=STRIDE, excluded=tmp_path / "missing")
