"""Colour jitter."""

import colorsys

import jax
import numpy as np
import pytest

from aggpose_jax.training import color

jitter = jax.jit(color.jitter)


def pixels(count: int) -> np.ndarray:
    """[1, 1, count, 3] random colours, then grey, black, white and the pure ones."""
    special = [[0.5] * 3, [0] * 3, [1] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]]
    colours = np.random.default_rng(0).random((count, 3))
    return np.concatenate([colours, special]).astype(np.float32)[None, None]


@pytest.mark.parametrize("turn", [0.0, 0.1, -0.1, 0.37, 1.0])
def test_turn_hue_is_that_of_hsv(turn):
    image = pixels(40)
    ours = jax.jit(color.turn_hue)(image, np.full((1, 1, 1), turn, np.float32))
    for colour, turned in zip(image[0, 0], ours[0, 0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*colour.tolist())
        np.testing.assert_allclose(turned, colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), atol=1e-5)


def test_turn_hue_turns_each_image_by_its_own():
    image = np.broadcast_to(np.float32([1, 0, 0]), (3, 1, 1, 3))
    turned = color.turn_hue(image, np.float32([0, 1 / 3, 2 / 3]).reshape(3, 1, 1))
    np.testing.assert_allclose(turned[:, 0, 0], np.eye(3), atol=1e-5)


def test_probability_0_changes_nothing():
    image = np.random.default_rng(0).random((4, 3, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(jitter(jax.random.key(0), image, 0.0), image)


def test_probability_is_that_of_each_image():
    image = np.broadcast_to(np.float32([0.2, 0.5, 0.4]), (400, 1, 1, 3))
    changed = (np.asarray(jitter(jax.random.key(1), image, 0.25)) != image).any((1, 2, 3))
    assert 0.15 < changed.mean() < 0.35
    assert (np.asarray(jitter(jax.random.key(1), image, 1.0)) != image).any((1, 2, 3)).all()


def test_jitter_stays_in_range_and_depends_on_its_key():
    image = pixels(50)
    ours, again, other = (np.asarray(jitter(jax.random.key(k), image, 1.0)) for k in (0, 0, 1))
    np.testing.assert_array_equal(ours, again)
    assert not np.allclose(ours, other)
    assert ours.min() >= 0
    assert ours.max() <= 1


@pytest.fixture
def only(monkeypatch):
    """A function that leaves a single change of the jitter on, and returns it."""

    def leave(strength=0.0, hue=0.0):
        monkeypatch.setattr(color, "STRENGTH", strength)
        monkeypatch.setattr(color, "HUE", hue)
        return lambda image, seed=0: np.asarray(color.jitter(jax.random.key(seed), image, 1.0))

    return leave


def test_without_strength_nothing_changes(only):
    image = pixels(20)
    np.testing.assert_allclose(only()(image), image, atol=1e-5)


def test_hue_is_turned_within_its_range(only):
    image = np.broadcast_to(np.float32([0.8, 0.4, 0.2]), (200, 1, 1, 3))
    changed = only(hue=0.1)(image)[:, 0, 0]
    hues, saturations, values = np.array([colorsys.rgb_to_hsv(*c.tolist()) for c in changed]).T
    np.testing.assert_allclose(saturations, 0.75, atol=1e-4)
    np.testing.assert_allclose(values, 0.8, atol=1e-5)
    turns = (hues - colorsys.rgb_to_hsv(0.8, 0.4, 0.2)[0] + 0.5) % 1 - 0.5
    assert -0.1 <= turns.min() < -0.08
    assert 0.08 < turns.max() <= 0.1


def test_brightness_contrast_and_saturation_by_hand(only):
    # Contrast leaves the mean grey of an image, saturation the grey of each pixel, brightness scales all:
    # so of a grey image of one value brightness alone is left.
    image = np.full((200, 1, 2, 3), 0.5, np.float32)
    factors = only(strength=0.3)(image)[:, 0, 0, 0] / 0.5
    assert 0.7 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.3
    # Of a grey image of two values, brightness and contrast: the ratio of mean to difference tells the latter.
    image = np.broadcast_to(np.float32([0.4, 0.5])[None, None, :, None], (200, 1, 2, 3))
    dark, light = np.moveaxis(only(strength=0.3)(image)[:, 0, :, 0], -1, 0)
    contrast = (light - dark) / (light + dark) / (0.1 / 0.9)
    assert 0.7 - 1e-4 <= contrast.min() < 0.75
    assert 1.25 < contrast.max() <= 1.3 + 1e-4
    # Of a coloured image of one value, all three, where contrast and saturation act alike on its distance to grey.
    image = np.broadcast_to(np.float32([0.5, 0.4, 0.45]), (200, 1, 1, 3))
    changed = only(strength=0.3)(image)[:, 0, 0]
    grey = changed @ np.array([0.299, 0.587, 0.114])
    spread = (changed - grey[:, None]) / grey[:, None]
    original = (image[0, 0, 0] - 0.4356) / 0.4356  # 0.299 · 0.5 + 0.587 · 0.4 + 0.114 · 0.45
    factor = (spread / original)[:, 0]
    np.testing.assert_allclose(spread, factor[:, None] * original, atol=1e-3)
    assert 0.49 <= factor.min() < 0.7
    assert 1.3 < factor.max() <= 1.69
