"""Colour jitter: ranges, probabilities, and HSV hue shifts compared with colorsys."""

import colorsys

import jax
import numpy as np
import pytest

from aggpose_jax.training import color

jitter = jax.jit(color.jitter)


def pixels(count: int) -> np.ndarray:
    """Returns [1, 1, count + 9, 3]: random colours, then grey, black, white and the primary and secondary colours."""
    special = [[0.5] * 3, [0] * 3, [1] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]]
    colours = np.random.default_rng(0).random((count, 3))
    return np.concatenate([colours, special]).astype(np.float32)[None, None]


@pytest.mark.parametrize("shift", [0.0, 0.1, -0.1, 0.37, 1.0])
def test_shift_hue_agrees_with_colorsys(shift):
    image = pixels(40)
    result = jax.jit(color.shift_hue)(image, np.full((1, 1, 1), shift, np.float32))
    for colour, shifted in zip(image[0, 0], result[0, 0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*colour.tolist())
        np.testing.assert_allclose(shifted, colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value), atol=1e-5)


def test_each_image_has_its_own_hue_shift():
    image = np.broadcast_to(np.float32([1, 0, 0]), (3, 1, 1, 3))
    shifted = color.shift_hue(image, np.float32([0, 1 / 3, 2 / 3]).reshape(3, 1, 1))
    np.testing.assert_allclose(shifted[:, 0, 0], np.eye(3), atol=1e-5)


def test_probability_0_changes_nothing():
    image = np.random.default_rng(0).random((4, 3, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(jitter(jax.random.key(0), image, 0.0), image)


def test_each_image_is_changed_with_the_given_probability():
    image = np.broadcast_to(np.float32([0.2, 0.5, 0.4]), (400, 1, 1, 3))
    changed = (np.asarray(jitter(jax.random.key(1), image, 0.25)) != image).any((1, 2, 3))
    assert 0.15 < changed.mean() < 0.35
    assert (np.asarray(jitter(jax.random.key(1), image, 1.0)) != image).any((1, 2, 3)).all()


def test_jitter_stays_in_0_to_1_and_depends_on_its_key():
    image = pixels(50)
    result, again, other = (np.asarray(jitter(jax.random.key(k), image, 1.0)) for k in (0, 0, 1))
    np.testing.assert_array_equal(result, again)
    assert not np.allclose(result, other)
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.fixture
def only(monkeypatch):
    """Returns a function that sets the strength and hue of the jitter and returns the jitter with probability 1."""

    def set_ranges(strength=0.0, hue=0.0):
        monkeypatch.setattr(color, "STRENGTH", strength)
        monkeypatch.setattr(color, "HUE", hue)
        return lambda image, seed=0: np.asarray(color.jitter(jax.random.key(seed), image, 1.0))

    return set_ranges


def test_zero_strength_and_hue_change_nothing(only):
    image = pixels(20)
    np.testing.assert_allclose(only()(image), image, atol=1e-5)


def test_hue_shifts_cover_their_range(only):
    image = np.broadcast_to(np.float32([0.8, 0.4, 0.2]), (200, 1, 1, 3))
    changed = only(hue=0.1)(image)[:, 0, 0]
    hues, saturations, values = np.array([colorsys.rgb_to_hsv(*c.tolist()) for c in changed]).T
    np.testing.assert_allclose(saturations, 0.75, atol=1e-4)
    np.testing.assert_allclose(values, 0.8, atol=1e-5)
    shifts = (hues - colorsys.rgb_to_hsv(0.8, 0.4, 0.2)[0] + 0.5) % 1 - 0.5
    assert -0.1 <= shifts.min() < -0.08
    assert 0.08 < shifts.max() <= 0.1


def test_brightness_contrast_and_saturation_by_hand(only):
    # Contrast preserves the mean grey of an image, saturation the grey of each pixel, and brightness scales everything.
    # So in a grey image of one value only brightness has an effect.
    image = np.full((200, 1, 2, 3), 0.5, np.float32)
    factors = only(strength=0.3)(image)[:, 0, 0, 0] / 0.5
    assert 0.7 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.3
    # In a grey image of two values brightness and contrast have an effect; difference / sum depends on contrast alone.
    image = np.broadcast_to(np.float32([0.4, 0.5])[None, None, :, None], (200, 1, 2, 3))
    dark, light = np.moveaxis(only(strength=0.3)(image)[:, 0, :, 0], -1, 0)
    contrast = (light - dark) / (light + dark) / (0.1 / 0.9)
    assert 0.7 - 1e-4 <= contrast.min() < 0.75
    assert 1.25 < contrast.max() <= 1.3 + 1e-4
    # In an image of one colour all three have an effect; contrast and saturation both scale its distance to grey.
    image = np.broadcast_to(np.float32([0.5, 0.4, 0.45]), (200, 1, 1, 3))
    changed = only(strength=0.3)(image)[:, 0, 0]
    grey = changed @ np.array([0.299, 0.587, 0.114])
    spread = (changed - grey[:, None]) / grey[:, None]
    original = (image[0, 0, 0] - 0.4356) / 0.4356  # 0.299 · 0.5 + 0.587 · 0.4 + 0.114 · 0.45
    factor = (spread / original)[:, 0]
    np.testing.assert_allclose(spread, factor[:, None] * original, atol=1e-3)
    assert 0.49 <= factor.min() < 0.7
    assert 1.3 < factor.max() <= 1.69
