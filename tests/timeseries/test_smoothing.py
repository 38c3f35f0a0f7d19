"""Smoothing filters: their effect on sinusoids against formulas, and what they leave alone."""

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.timeseries.smoothing import Butterworth, OneEuro, SavitzkyGolay, smooth

RATE = 30
FIDGETY = np.array([0.9, 1.35, 1.8])  # hertz
# The gains of common filters at these frequencies, as measured on films of 30 frames per second.
GAINS = {Butterworth(): [1, 1, 0.995], SavitzkyGolay(): [1, 1, 0.99], OneEuro(): [0.71, 0.56, 0.45]}


def butterworth_gain(frequency, cutoff, rate):
    """The squared gain of second order, at frequencies that the bilinear transform warps."""
    return 1 / (1 + (np.tan(np.pi * frequency / rate) / np.tan(np.pi * cutoff / rate)) ** 4)


def oneeuro_gain(frequency, cutoff, rate):
    """The gain of s ← s + a (x − s), which is |a / (1 − (1 − a) z⁻¹)|."""
    weight = 1 / (1 + rate / (2 * np.pi * cutoff))
    return np.abs(weight / (1 - (1 - weight) * np.exp(-2j * np.pi * frequency / rate)))


def parabola_gain(frequency, size, rate):
    """The weights of the middle of a least-squares parabola, applied to a sinusoid."""
    offsets = np.arange(size) - size // 2
    weights = np.linalg.pinv(np.vander(offsets, 3))[-1]
    return np.abs(np.exp(2j * np.pi * np.outer(frequency, offsets) / rate) @ weights)


def smoothed_gain(chosen, frequency, rate=RATE):
    """Returns the gain that a filter has on a sinusoid, from the middle of a long track."""
    time = np.arange(40 * rate) / rate
    wave = np.stack([np.sin(2 * np.pi * frequency * time), np.cos(2 * np.pi * frequency * time)], axis=-1)
    middle = slice(10 * rate, 30 * rate)
    return np.linalg.norm(smooth(wave[:, None, None], time, chosen)[middle, 0, 0], axis=-1).mean()


@pytest.mark.parametrize("chosen", GAINS)
def test_gains_are_those_of_the_field(chosen):
    found = [smoothed_gain(chosen, frequency) for frequency in FIDGETY]
    np.testing.assert_allclose(found, GAINS[chosen], atol=0.006)


@pytest.mark.parametrize(
    ("chosen", "rate", "gain"),
    [
        (Butterworth(6), 30, lambda f: butterworth_gain(f, 6, 30)),
        (Butterworth(3), 25, lambda f: butterworth_gain(f, 3, 25)),
        (Butterworth(6), 240, lambda f: butterworth_gain(f, 6, 240)),
        (SavitzkyGolay(), 30, lambda f: parabola_gain(f, 7, 30)),
        (SavitzkyGolay(), 25, lambda f: parabola_gain(f, 5, 25)),
        (SavitzkyGolay(0.5), 60, lambda f: parabola_gain(f, 29, 60)),
        (OneEuro(2), 30, lambda f: oneeuro_gain(f, 2, 30)),
    ],
)
def test_gains_are_within_a_hundredth_of_the_formula(chosen, rate, gain):
    frequencies = np.array([0.2, 0.9, 1.8, 3, 6])
    found = [smoothed_gain(chosen, frequency, rate) for frequency in frequencies]
    np.testing.assert_allclose(found, gain(frequencies), atol=0.01)
    analytic = chosen.response(frequencies, rate)
    if analytic is not None:
        np.testing.assert_allclose(np.abs(analytic), gain(frequencies), atol=1e-6)
        np.testing.assert_allclose(analytic.imag, 0, atol=1e-12)


def test_a_filter_of_six_hertz_retains_fidgety_movement():
    assert smoothed_gain(Butterworth(6), 1.8) >= 0.99


def test_beta_lets_fast_movement_pass():
    slow, fast = (smoothed_gain(OneEuro(1, beta), 1.8) for beta in (0, 1))
    assert fast > slow + 0.2


@pytest.mark.parametrize("chosen", GAINS)
def test_a_film_of_variable_frame_rate_keeps_frequency_and_amplitude(chosen):
    time = np.concatenate([np.arange(300) / 30, 10 + np.arange(150) / 15])
    wave = np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)], axis=-1)
    found = smooth(wave[:, None, None], time, chosen)[:, 0, 0] / smoothed_gain(chosen, 1)
    for half in (slice(30, 300), slice(315, 450)):
        phase = np.unwrap(np.arctan2(*found[half].T))
        assert np.polyfit(time[half], phase, 1)[0] / (2 * np.pi) == pytest.approx(1, rel=0.01)
        assert np.linalg.norm(found[half], axis=-1).mean() == pytest.approx(1, rel=0.01)


def test_jitter_of_a_short_fast_part_of_a_film_is_no_slow_movement_afterwards():
    # Sampled 15 times a second, 12 Hz would be 3 Hz, which the filter retains.
    time = np.concatenate([np.arange(120) / 30, 4 + np.arange(300) / 15])
    jitter = np.where(time < 4, np.sin(2 * np.pi * 12 * time), 0)
    found = smooth(np.stack([jitter, jitter], axis=-1)[:, None, None], time, Butterworth(4))
    assert np.abs(found[20:100]).max() < 0.02


@pytest.mark.parametrize("chosen", GAINS)
def test_segments_are_filtered_on_their_own(chosen):
    time = np.arange(60) / RATE
    x = np.random.default_rng(0).standard_normal((60, 1, 1, 2))
    x[30] = np.nan
    found = smooth(x, time, chosen)
    assert np.isnan(found[30]).all()
    changed = x.copy()
    changed[31:] += 100
    np.testing.assert_array_equal(smooth(changed, time, chosen)[:30], found[:30])
    np.testing.assert_allclose(smooth(x[:30], time[:30], chosen), found[:30], atol=1e-9)
    np.testing.assert_allclose(smooth(changed, time, chosen)[31:], found[31:] + 100, atol=1e-9)


@pytest.mark.parametrize("chosen", GAINS)
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 5])
def test_a_resting_point_is_unchanged_in_segments_of_any_length(chosen, frames):
    position = np.full((frames, 1, 2, 2), 7.0)
    time = np.arange(frames) / RATE
    np.testing.assert_allclose(smooth(position, time, chosen), position)
    assert np.isnan(smooth(np.full_like(position, np.nan), time, chosen)).all()


def test_a_segment_shorter_than_the_window_is_left_as_it_is():
    position = np.random.default_rng(0).standard_normal((6, 1, 1, 2))
    np.testing.assert_allclose(smooth(position, np.arange(6) / RATE, SavitzkyGolay()), position, atol=1e-12)


@pytest.mark.parametrize(("rate", "cutoff"), [(30, 13.6), (5, 6), (5, 2.3)])
def test_a_cutoff_near_half_the_frame_rate_is_refused(rate, cutoff):
    position, time = np.zeros((20, 1, 1, 2)), np.arange(20) / rate
    with pytest.raises(UserError, match=rf"{cutoff:g} Hz .* {rate} frames per second.* {0.45 * rate:.3g} Hz"):
        smooth(position, time, Butterworth(cutoff))
    np.testing.assert_allclose(smooth(position, time, Butterworth(0.44 * rate)), position, atol=1e-12)
