"""Tests of prefetching, mosaics and drawn frames."""

import threading

import numpy as np
import pytest
from PIL import Image
from stick_figures import STICK_FIGURE, render, stick_figure

from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.errors import UserError
from aggpose_jax.inference import media
from aggpose_jax.inference.frame_poses import FramePoses
from aggpose_jax.inference.privacy import head_circle, head_points, mosaic_heads
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet


def test_prefetch_yields_the_items_and_produces_them_ahead():
    made = []

    def items():
        for i in range(20):
            made.append(i)
            yield i

    stream = media.prefetch(items())
    assert next(stream) == 0
    for _ in range(200):
        if len(made) == media.PREFETCHED + 2:
            break
        threading.Event().wait(0.01)
    assert len(made) == media.PREFETCHED + 2  # the queue, one item consumed, and one waiting for a slot
    assert list(stream) == list(range(1, 20))


def test_prefetch_raises_to_the_consumer_and_stops_when_closed():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    stream = media.prefetch(items())
    assert next(stream) == 0
    stream.close()
    assert closed.wait(5)

    def broken():
        yield 1
        raise UserError("a fault")

    with pytest.raises(UserError, match="a fault"):
        list(media.prefetch(broken()))


def test_unreadable_images_are_reported(tmp_path):
    Image.fromarray(render(stick_figure())).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    failures = []
    frames = list(media.read_images([tmp_path / "b.png", tmp_path / "a.png"], failures))
    assert [frame.index for frame in frames] == [1]
    assert len(failures) == 1
    assert "b.png" in failures[0]


def noise(seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)


def scored(points) -> np.ndarray:
    return np.column_stack([points, np.ones(len(points))])


def test_mosaic_covers_the_head_and_nothing_far_from_it():
    points = stick_figure((160, 120), 150)
    eyes = points[:2].mean(0)
    image = noise()
    covered = mosaic_heads(image, scored(points)[None], STICK_FIGURE)
    distance = np.linalg.norm(np.mgrid[:240, :320][::-1] - eyes[:, None, None], axis=0)
    changed = (covered != image).any(-1)
    torso = 0.35 * 150
    assert changed[distance < 0.6 * torso - 1].mean() > 0.97
    assert not changed[distance > 0.6 * torso * 1.5].any()
    within = covered[distance < 0.55 * torso]
    assert len(np.unique(within, axis=0)) <= 30  # tiles of one colour each
    np.testing.assert_array_equal(image, noise())


def test_image_without_a_located_head_becomes_a_mosaic():
    uncertain = scored(stick_figure())
    uncertain[1, 2] = 0.1
    for poses in (np.zeros((0, 8, 3)), uncertain[None], np.stack([scored(stick_figure()), uncertain])):
        covered = mosaic_heads(noise(), poses, STICK_FIGURE)
        assert len(np.unique(covered.reshape(-1, 3), axis=0)) <= 30 * 40
        assert covered.std() < 40  # averaged noise is nearly grey


def test_head_far_outside_the_image_changes_nothing():
    image = noise()
    np.testing.assert_array_equal(mosaic_heads(image, scored(stick_figure((-900, 120)))[None], STICK_FIGURE), image)


def test_head_keypoints_of_the_keypoint_sets():
    assert [INFANT_21.names[k] for k in head_points(INFANT_21)] == ["right_eye", "left_eye", "chin"]
    assert len(head_points(COCO_17)) == 5
    without = KeypointSet("legs", ("left_knee", "right_knee", "shear", "chin"), (), (), (1,) * 4, ())
    with pytest.raises(UserError, match="mosaic: legs"):
        head_points(without)
    x, y, radius = head_circle(scored(stick_figure((160, 120), 200)), STICK_FIGURE)
    np.testing.assert_allclose((x, y, radius), (160, 20, 0.6 * 0.35 * 200))


def test_drawn_frame_has_its_mosaic_below_the_skeleton():
    item = FramePoses(VideoFrame(0, 0.0, noise()), scored(stick_figure())[None])
    plain, covered = media.draw_frame(item, STICK_FIGURE, False), media.draw_frame(item, STICK_FIGURE, True)
    assert (plain != covered).any()
    np.testing.assert_array_equal(plain[100:], covered[100:])


def film(seconds=75.5, poses=(), persons=None, lost=()) -> FramePoses:
    frame = VideoFrame(3, seconds, np.zeros((240, 320, 3), np.uint8))
    return FramePoses(frame, np.reshape(poses, (-1, 8, 3)), persons, lost)


def with_scores(*scores) -> np.ndarray:
    return np.stack([np.column_stack([stick_figure(), np.full(8, score)]) for score in scores])


def test_caption_has_the_number_the_time_and_the_scores():
    assert media.caption(film(poses=with_scores(0.83)), 1234) == "frame 1234  1:15.50  score 0.83"
    assert media.caption(film(59.9999, with_scores(0.5, 0.9)), 3) == "frame 3  1:00.00  score 0.50  0.90"
    assert media.caption(film(), 3) == "frame 3  1:15.50  no pose"
    two = film(poses=with_scores(0.9), persons=(1,), lost=(0,))
    assert media.caption(two, 3) == "frame 3  1:15.50  score 0: lost  1: 0.90"
    assert media.caption(film(float("nan"), with_scores(0.9)), 7) == "image 7  score 0.90"


def test_a_frame_counts_as_its_least_certain_person_and_as_0_without_one():
    assert media.frame_score(film(poses=with_scores(0.5, 0.9))) == pytest.approx(0.5)
    assert media.frame_score(film()) == 0
    assert media.is_lost(film())
    lost = film(poses=with_scores(0.9), persons=(0,), lost=(1,))
    assert media.is_lost(lost)
    assert media.frame_score(lost) == 0
    assert not media.is_lost(film(poses=with_scores(0.9)))


def test_a_lost_frame_has_a_red_border_and_any_frame_a_label():
    image = np.full((240, 320, 3), 90, np.uint8)
    plain, lost = (media.label_frame(image, "frame 3", is_lost) for is_lost in (False, True))
    assert (image == 90).all()
    assert (plain[:30] != 90).any()
    assert (plain[30:] == 90).all()
    for edge in (lost[:, 0], lost[:, -1], lost[-1], lost[0]):
        assert (edge == (255, 80, 70)).all()
    assert (lost[100, 100] == 90).all()


def test_lines_are_as_wide_for_a_near_infant_as_for_a_distant_one():
    widths = []
    for height in (40, 230):
        points = stick_figure((160, 120), height)
        drawn = media.draw_frame(film(poses=scored(points)), STICK_FIGURE, False)
        row = round(points[[2, 4], 1].mean())  # between the left shoulder and hip
        column = round(points[[2, 4], 0].mean())
        widths.append(int((drawn[row, column - 8 : column + 9].max(-1) > 0).sum()))
    assert widths[0] == widths[1]


def test_a_frame_whose_infant_is_lost_becomes_a_mosaic_completely():
    item = FramePoses(VideoFrame(0, 0.0, noise()), scored(stick_figure())[None], (1,), (0,))
    covered = media.draw_frame(item, STICK_FIGURE, True)
    assert len(np.unique(covered[:, :60].reshape(-1, 3), axis=0)) <= 30 * 40
    assert covered[200:, :60].std() < 40


def test_persons_are_numbered_if_there_are_several():
    poses = np.stack([scored(stick_figure((90, 120))), scored(stick_figure((230, 120)))])
    without = media.draw_frame(film(poses=poses), STICK_FIGURE, False)
    numbered = media.draw_frame(film(poses=poses, persons=(0, 1)), STICK_FIGURE, False)
    changed = np.argwhere((without != numbered).any(-1))
    assert len(changed)
    assert np.abs(changed - (120, 160)).max() < 110
    one = media.draw_frame(film(poses=poses[:1], persons=(0,)), STICK_FIGURE, False)
    np.testing.assert_array_equal(one, media.draw_frame(film(poses=poses[:1]), STICK_FIGURE, False))
