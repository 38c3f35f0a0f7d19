"""Sources of unlabelled frames: segments of videos, and the frames drawn from them."""

import collections
import itertools
import pickle

import numpy as np
import pytest
from shard_files import jpeg, write_shards

from aggpose_jax.data import frames, pipeline, shards
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.errors import UserError

STRIDE = 4
SEGMENTS = 2 + 1 + 0 + 3  # ceil(7 / 4), ceil(1 / 4), 0, 12 / 4


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


def drawn_frames(source, epochs: float, **options) -> list[tuple[int, int]]:
    """Returns (video, frame) of every example of a number of epochs in the order of training."""
    batch_size = options.pop("batch_size", 2)
    start = options.get("start", 0)

    def make_batch(records, generators):
        frames = [source.draw(record, rng) for record, rng in zip(records, generators, strict=True)]
        return {name: np.array([frame[name] for frame in frames]) for name in ("video_id", "frame", "id")}

    batches = pipeline.training_batches(source, make_batch, batch_size=batch_size, seed=3, **options)
    stop = round(epochs * len(source) / batch_size) - start
    consumed = list(itertools.islice(batches, stop))
    return [pair for b in consumed for pair in zip(b["video_id"].tolist(), b["frame"].tolist(), strict=True)]


def test_the_segments_of_a_folder_of_shards(directory):
    source = frames.open_source(directory, stride=STRIDE)
    assert len(source) == SEGMENTS
    assert [(r["video_id"], r["segment"], r["id"]) for r in (source[i] for i in range(len(source)))] == [
        (1, 0, 0), (1, 1, 4), (2, 0, 7), (4, 0, 8), (4, 1, 12), (4, 2, 16),
    ]  # fmt: skip
    assert source.counts() == {"videos": 3, "segments": 6, "frames": 20}
    with pytest.raises(IndexError):
        source[6]


def test_draws_are_uniform_over_the_frames_of_the_segment(directory):
    source = frames.open_source(directory, stride=STRIDE)
    rng = np.random.default_rng(0)
    for index, numbers in ((0, [0, 10, 20, 30]), (1, [40, 50, 60]), (2, [0]), (5, [80, 90, 100, 110])):
        counts = collections.Counter(source.draw(source[index], rng)["frame"] for _ in range(400))
        assert sorted(counts) == numbers
        assert min(counts.values()) > 400 / len(numbers) * 0.7


def test_the_number_image_and_file_name_of_a_drawn_frame_match_its_id(directory):
    source = frames.open_source(directory, stride=STRIDE)
    for seed in range(8):
        frame = source.draw(source[4], np.random.default_rng(seed))
        position = frame["id"] - 8
        assert frame["frame"] == 10 * position
        assert abs(int(read_image(frame["image"])[0, 0, 0]) - 10 * position) <= 2
        assert source.file_name(frame["id"]) == f"shards/ward/baby_c.array_record record {position}"


def test_each_epoch_has_every_segment_once_with_different_frames(directory):
    source = frames.open_source(directory, stride=STRIDE)
    pairs = drawn_frames(source, 10)
    epochs = [sorted(pairs[n * SEGMENTS : (n + 1) * SEGMENTS]) for n in range(10)]
    for epoch in epochs:
        assert collections.Counter((video, frame // (10 * STRIDE)) for video, frame in epoch) == collections.Counter(
            [(1, 0), (1, 1), (2, 0), (4, 0), (4, 1), (4, 2)]
        )
    assert len({tuple(epoch) for epoch in epochs}) > 5


@pytest.mark.parametrize("later", [{"threads": 3}, {"workers": 2}])
def test_a_resumed_run_sees_the_same_frames_as_an_uninterrupted_one(directory, later):
    source = frames.open_source(directory, stride=STRIDE)
    uninterrupted = drawn_frames(source, 4)
    assert drawn_frames(source, 1) + drawn_frames(source, 4, start=3, **later) == uninterrupted


def test_frames_of_excluded_videos_are_never_drawn(directory, excluded):
    source = frames.open_source(directory, stride=STRIDE, excluded=excluded)
    assert source.counts() == {"videos": 2, "segments": 4, "frames": 13}
    assert {video for video, _ in drawn_frames(source, 10)} == {2, 4}
    assert {video for video, _ in drawn_frames(frames.open_source(directory, stride=STRIDE), 10)} == {1, 2, 4}


def test_the_id_of_a_frame_does_not_depend_on_excluded_videos(directory, excluded):
    source = frames.open_source(directory, stride=STRIDE, excluded=excluded)
    assert [source[i]["id"] for i in range(4)] == [7, 8, 12, 16]


def test_parts_have_no_video_in_common_and_no_excluded_video(tmp_path):
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


def test_a_source_can_be_pickled(directory):
    source = frames.open_source(directory, stride=STRIDE)
    source.draw(source[0], np.random.default_rng(0))
    copied = pickle.loads(pickle.dumps(source))
    assert len(pickle.dumps(source)) < 3000
    assert copied.draw(copied[3], np.random.default_rng(1)) == source.draw(source[3], np.random.default_rng(1))


def test_at_most_max_open_shards_are_open(tmp_path):
    write_shards(tmp_path, {f"video_{n}": 1 for n in range(2 * shards.MAX_OPEN)})
    source = frames.open_source(tmp_path, stride=1)
    for index in range(len(source)):
        source.draw(source[index], np.random.default_rng(0))
    assert shards._reader.cache_info().currsize == shards.MAX_OPEN


def test_a_source_of_folders_of_images(tmp_path):
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


def test_the_videos_of_a_source(directory, excluded):
    source = frames.open_source(directory, stride=STRIDE, excluded=excluded)
    assert source.videos() == {2: ("baby_b", 1, range(0, 1)), 4: ("ward/baby_c", 12, range(1, 4))}


def test_a_frame_at_a_position(directory):
    source = frames.open_source(directory, stride=STRIDE)
    frame = source.read(source[4], 6)
    assert (frame["frame"], frame["id"], frame["segment"]) == (60, 8 + 6, 1)
    assert abs(int(read_image(frame["image"])[0, 0, 0]) - 60) <= 2


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage(path):
    content = bytearray(path.read_bytes())
    start = content.find(b"\xff\xd8")  # the first JPEG file
    content[start + 20 : start + 40] = b"x" * 20
    path.write_bytes(content)


@pytest.mark.parametrize(("corrupt", "message"), [(lambda path: path.unlink(), "No such file"), (truncate, "bytes")])
def test_opening_a_source_with_a_missing_or_truncated_shard_is_an_error(tmp_path, corrupt, message):
    write_shards(tmp_path)
    corrupt(tmp_path / "shards" / "baby_b.array_record")
    with pytest.raises(UserError, match=rf"baby_b\.array_record .*{message}"):
        frames.open_source(tmp_path, stride=STRIDE)
    (tmp_path / "test.txt").write_text("baby_b")
    frames.open_source(tmp_path, stride=STRIDE, excluded=tmp_path / "test.txt")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda path: path.unlink(), "No such file"),
        (truncate, "0 frames"),
        (damage, "damaged at record 0"),
    ],
)
def test_a_shard_that_is_damaged_after_opening_raises_image_errors(tmp_path, corrupt, message):
    write_shards(tmp_path)
    source = frames.open_source(tmp_path, stride=STRIDE)
    corrupt(tmp_path / "shards" / "baby_b.array_record")
    record = source[2]
    with pytest.raises(ImageError, match=rf"baby_b\.array_record .*{message}"):
        source.draw(record, np.random.default_rng(0))
    assert message in source.fault(record["id"])
    source.draw(source[0], np.random.default_rng(0))


def test_fault_checks_all_frames_of_a_segment(tmp_path):
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
        (lambda folder: None, "no frames.*prepare frames VIDEOS --out"),
        (lambda folder: (folder / "shards").mkdir(), "manifest.json .*prepare frames"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json is not"),
        (lambda folder: write_shards(folder, {"nothing": 0}), "no frames"),
    ],
)
def test_a_folder_without_frames_is_an_error(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        frames.open_source(tmp_path, stride=STRIDE)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("babya", "list: 1 names .*babya.*baby_a"),
        ("baby_a\nbaby_b\nward/baby_c", "no frames"),
    ],
)
def test_invalid_lists_of_excluded_videos_are_errors(directory, tmp_path, names, message):
    (tmp_path / "list").write_text(names)
    with pytest.raises(UserError, match=message):
        frames.open_source(directory, stride=STRIDE, excluded=tmp_path / "list")
    with pytest.raises(UserError, match=r"missing .*No such file"):
        frames.open_source(directory, stride=STRIDE, excluded=tmp_path / "missing")


def test_frames_in_a_folder_follow_each_other_by_their_numbers(tmp_path):
    for number in (1, 2, 10, 11, 9):
        (tmp_path / f"frame_{number}.jpg").write_bytes(jpeg(20 * number))
    source = frames.open_source(tmp_path, stride=1)
    values = [int(read_image(source.draw(source[i], np.random.default_rng(0))["image"])[0, 0, 0]) for i in range(5)]
    np.testing.assert_allclose(values, [20, 40, 180, 200, 220], atol=2)
