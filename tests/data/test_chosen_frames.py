"""Frames with a box or with a later frame: which are drawn, and films of one repeated frame."""

import collections
import pickle

import cv2
import numpy as np
import pytest

from aggpose_jax.data import frames
from aggpose_jax.data.chosen_frames import ChosenFrames
from aggpose_jax.data.images import read_image
from aggpose_jax.errors import UserError

STRIDE = 4


def write_images(folder, values) -> None:
    """Writes frames of the given brightness as a video."""
    folder.mkdir()
    for number, value in enumerate(values):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((6, 8, 3), value, np.uint8))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Videos of 10, 3 and 6 frames, whose brightness is 10 × their position: 3, 1 and 2 segments."""
    directory = tmp_path_factory.mktemp("frames")
    for name, count in (("a", 10), ("b", 3), ("c", 6)):
        write_images(directory / name, range(0, 10 * count, 10))
    return frames.open_source(directory, stride=STRIDE)


def rows(*positions) -> np.ndarray:
    """Returns boxes at these positions whose x is 100 × the position."""
    return np.array([(position, 100 * position, 1, 2, 3) for position in positions], float).reshape(-1, 5)


def brightness(image) -> int:
    return int(read_image(image)[0, 0, 0])


def test_segments_without_a_box_are_left_out_and_only_frames_with_one_are_drawn(source):
    chosen = ChosenFrames(source, {1: rows(1, 2, 9), 3: rows(5)})
    assert [(r["video_id"], r["segment"]) for r in (chosen[i] for i in range(len(chosen)))] == [(1, 0), (1, 2), (3, 1)]
    rng = np.random.default_rng(0)
    drawn = [chosen.draw(chosen[index], rng) for index in (0, 0, 0, 0, 0, 0, 1, 2)]
    assert {frame["frame"] for frame in drawn[:6]} == {1, 2}
    assert [frame["frame"] for frame in drawn[6:]] == [9, 5]
    for frame in drawn:
        assert brightness(frame["image"]) == 10 * frame["frame"]
        np.testing.assert_array_equal(frame["box"], [100 * frame["frame"], 1, 2, 3])
    assert chosen.counts() == {"videos": 2, "segments": 3, "frames": 4, "videos left out, without a box": 1}
    with pytest.raises(IndexError):
        chosen[3]


def test_targets_are_the_frames_that_many_frames_later(source):
    chosen = ChosenFrames(source, offset=3)
    assert [(r["video_id"], r["segment"]) for r in (chosen[i] for i in range(len(chosen)))] == [(1, 0), (1, 1), (3, 0)]
    rng = np.random.default_rng(0)
    drawn = [chosen.draw(chosen[1], rng) for _ in range(200)]
    assert collections.Counter(frame["frame"] for frame in drawn).keys() == {4, 5, 6}  # Frame 7 has no target.
    assert all(brightness(frame["target"]) == 10 * (frame["frame"] + 3) for frame in drawn)
    counts = chosen.counts()
    assert counts.pop("videos left out, not longer than 3 frames") == 1
    assert counts == {"videos": 2, "segments": 3, "frames": 7 + 3}


def test_frames_need_both_a_box_and_a_target(source):
    chosen = ChosenFrames(source, {1: rows(6, 7)}, offset=3)
    assert len(chosen) == 1
    frame = chosen.draw(chosen[0], np.random.default_rng(0))
    assert (frame["frame"], frame["box"][0], brightness(frame["target"])) == (6, 600, 90)


def test_names_and_ids_are_those_of_the_source(source):
    chosen = ChosenFrames(source, {3: rows(5)})
    frame = chosen.draw(chosen[0], np.random.default_rng(0))
    assert frame["id"] == 10 + 3 + 5
    assert chosen.file_name(frame["id"]) == "c/5.png"
    assert chosen.fault(frame["id"]) == source.fault(frame["id"])
    copied = pickle.loads(pickle.dumps(chosen))
    assert copied.draw(copied[0], np.random.default_rng(1))["frame"] == 5


def test_it_is_an_error_if_no_frame_is_left(source):
    with pytest.raises(UserError, match=r"target_offset: .* 10 frames"):
        ChosenFrames(source, offset=10)
    with pytest.raises(UserError, match="boxes: no frame"):
        ChosenFrames(source, {1: rows()})


@pytest.mark.parametrize(("values", "is_repeated"), [(6 * [50], True), ((50, 51, 52, 53, 54, 55), False)])
def test_a_video_of_one_repeated_frame_is_left_out_and_counted(tmp_path, values, is_repeated):
    write_images(tmp_path / "moving", range(0, 60, 10))
    write_images(tmp_path / "still", values)
    source = frames.open_source(tmp_path, stride=STRIDE)
    chosen = ChosenFrames(source, offset=1, leave_out_repeated=True)
    counts = chosen.counts()
    assert counts["videos"] == (1 if is_repeated else 2)
    assert counts.get("videos left out, of one repeated frame", 0) == is_repeated
    assert counts["videos left out, not longer than 1 frames"] == 0
    assert {chosen[index]["video_id"] for index in range(len(chosen))} == ({1} if is_repeated else {1, 2})


def test_it_is_an_error_if_every_video_repeats_one_frame(tmp_path):
    write_images(tmp_path / "still", 6 * [50])
    with pytest.raises(UserError, match=r"target_offset: every .* still, repeats one frame"):
        ChosenFrames(frames.open_source(tmp_path, stride=STRIDE), offset=1, leave_out_repeated=True)
