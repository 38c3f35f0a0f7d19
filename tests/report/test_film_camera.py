"""Tests of the movement of the camera, on textures that are moved by known distances."""

import cv2
import numpy as np
import pytest
from stick_series import series

from aggpose_jax.data.videos import VideoError, write_frames
from aggpose_jax.report import camera

SIZE = (120, 160)
DIAGONAL = np.hypot(*SIZE)


def texture(seed: int = 0) -> np.ndarray:
    """Returns a texture uint8 [240, 320] larger than a frame, with corners everywhere."""
    coarse = np.random.default_rng(seed).uniform(40, 220, (40, 54)).astype(np.float32)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def window(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns the frame uint8 [120, 160] whose content has moved by x and y pixels."""
    return cv2.warpAffine(picture, np.array([[1, 0, x - 80], [0, 1, y - 60]], float), SIZE[::-1])


def follow(frames, masks=None):
    """Returns displacements [T, 2] in pixels and jumps [T] of grey frames."""
    background = camera.Background()
    masks = masks or [np.ones(SIZE, bool)] * len(frames)
    steps = [background.step(grey, mask) for grey, mask in zip(frames, masks, strict=True)]
    return np.array([path for path, _ in steps]) * DIAGONAL, np.array([jumped for _, jumped in steps])


def test_displacements_do_not_drift():
    moves = np.cumsum(np.random.default_rng(1).normal(0, 1, (40, 2)), axis=0)
    moves[0] = 0
    path, jumped = follow([window(texture(), *move) for move in moves])
    np.testing.assert_allclose(path, moves, atol=0.15)
    assert not jumped.any()


def test_noise_of_a_still_camera_is_no_movement():
    rng = np.random.default_rng(2)
    frames = [(window(texture(), 0, 0) + rng.normal(0, 4, SIZE)).clip(0, 255).astype(np.uint8) for _ in range(20)]
    path, jumped = follow(frames)
    assert np.abs(path).max() < 0.2
    assert not jumped.any()


def test_a_moving_body_is_left_out():
    frames, masks = [], []
    for step in range(15):
        frame, mask = window(texture(), 0, 0), np.ones(SIZE, bool)
        frame[20:110, 30:140] = window(texture(3), 3 * step, 0)[20:110, 30:140]
        mask[20:110, 30:140] = False
        frames.append(frame)
        masks.append(mask)
    path, _ = follow(frames, masks)
    assert np.abs(path).max() < 0.5  # The body moves by 42 pixels; corners beside it see it a little.


def test_a_shift_that_is_too_large_to_follow_is_still_seen():
    path, jumped = follow([window(texture(), x, 0) for x in (0, 0, 38, 38)])
    assert not jumped.any()
    np.testing.assert_allclose(path[-1], (38, 0), atol=1)


def test_a_picture_that_changes_as_a_whole_has_jumped():
    path, jumped = follow([window(texture(seed), 0, 0) for seed in (0, 0, 5, 5)])
    assert jumped.tolist() == [False, False, True, False]
    assert np.isnan(path[2]).all()


def test_a_blank_beginning_is_no_jump():
    blank = np.full(SIZE, 16, np.uint8)
    path, jumped = follow([blank, blank, window(texture(), 0, 0), window(texture(), 2, 0)])
    assert not jumped.any()
    np.testing.assert_allclose(path[3] - path[2], (2, 0), atol=0.1)


def test_a_film_is_measured_outside_of_its_person(tmp_path):
    frames = [np.repeat(window(texture(), 0.5 * k, 0)[..., None], 3, axis=-1) for k in range(6)]
    write_frames(((k / 30, frame) for k, frame in enumerate(frames)), tmp_path / "film.mp4")
    position = np.tile(np.array([[60.0, 40], [100, 80]]), (6, 1, 11, 1))[:, :, :21]
    motion = camera.measure(tmp_path / "film.mp4", series(position).recording)
    np.testing.assert_allclose(motion.path * DIAGONAL, [(0.5 * k, 0) for k in range(6)], atol=0.2)
    assert motion.measured.all()
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        camera.measure(tmp_path / "gone.mp4", series(position).recording)
