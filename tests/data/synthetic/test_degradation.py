"""Tests of the faults of cameras."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH
from aggpose_jax.data.synthetic.degradation import FACES, Degradation, degrade, sample_degradation

NONE = Degradation(
    gain=1.0, gamma=1.0, tint=np.ones(3), grey=False, slope=np.zeros(2), defocus=0.01, motion=np.zeros(2), shrink=1.0,
    noise=0.0, quality=0, borders=np.zeros(2, int), text=None, face=None, seed=0,
)  # fmt: skip


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32)


def test_without_faults_nothing_changes():
    np.testing.assert_array_equal(degrade(image(), NONE, None, 0), image().astype(np.uint8))


@pytest.mark.parametrize("fault", [
    {"gain": 0.5}, {"gamma": 1.5}, {"grey": True}, {"defocus": 2.0}, {"motion": np.array([6.0, 2.0])}, {"shrink": 0.4},
    {"noise": 9.0}, {"quality": 20}, {"text": ("12-24-2025", 10, 20, 0.4)}, {"slope": np.array([0.2, -0.2])},
])  # fmt: skip
def test_every_fault_changes_the_image_and_keeps_its_type(fault):
    changed = degrade(image(), dataclasses.replace(NONE, **fault), None, 0)
    assert changed.dtype == np.uint8
    assert changed.shape == (HEIGHT, WIDTH, 3)
    assert (changed != image().astype(np.uint8)).any()


def test_black_bars_are_as_wide_as_they_say():
    changed = degrade(image(), dataclasses.replace(NONE, borders=np.array([0, 30])), None, 0)
    assert not changed[:, :30].any()
    assert not changed[:, -30:].any()
    np.testing.assert_array_equal(changed[:, 30:-30], image().astype(np.uint8)[:, 30:-30])


@pytest.mark.parametrize("kind", FACES)
def test_a_hidden_face_changes_only_the_head(kind):
    head = np.array([100.0, 80, 20])
    changed = degrade(image(), dataclasses.replace(NONE, face=kind), head, 0) != image().astype(np.uint8)
    rows, columns = np.nonzero(changed.any(axis=2))
    assert changed[80, 100].any()
    assert abs(rows - 80).max() <= 25
    assert abs(columns - 100).max() <= 25


def test_frames_differ_in_noise_alone_and_are_pure_functions():
    faults = sample_degradation(np.random.default_rng(3), True)
    first, again, second = (degrade(image(), faults, None, frame) for frame in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_all_faults_occur():
    sampled = [sample_degradation(np.random.default_rng(seed), True) for seed in range(300)]
    for name in ("grey", "quality", "text", "face"):
        assert 2 < sum(bool(getattr(faults, name)) for faults in sampled) < 298
