"""Tests of prefetching, contact sheets and mosaics."""

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


def test_contact_sheet_samples_a_video_evenly_in_bounded_memory():
    sheet = media.ContactSheet()
    for i in range(250):
        sheet.add(np.full((48, 64, 3), i, np.uint8))
        assert len(sheet._tiles) < 24
    image = sheet.draw()
    height, width = (240 + 6) * 3 + 6, (320 + 6) * 4 + 6
    assert image.shape == (height, width, 3)
    centres = image[6 + 120 :: 246, 6 + 160 :: 326, 0].ravel()
    assert centres[0] == 0
    assert centres[-1] >= 230
    assert (np.diff(centres.astype(int)) >= 16).all()


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
