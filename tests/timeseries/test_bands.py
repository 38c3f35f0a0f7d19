"""Amplitudes in bands, of sinusoids whose amplitude is known."""

import numpy as np
import pytest
from scipy import signal

from aggpose_jax.timeseries import bands

TIME = np.arange(300) / 30


def wave(frequency: float, size: float = 0.2, direction: tuple[float, float] = (1, 0)) -> np.ndarray:
    return size * np.sin(2 * np.pi * frequency * TIME + 0.4)[:, None] * np.array(direction)


@pytest.mark.parametrize(("frequency", "band"), [(0.65, 0), (1.35, 1), (2.4, 2), (4.5, 3)])
def test_a_sinusoid_has_its_amplitude_in_its_band_alone(frequency, band):
    drift = np.stack([3 * TIME, -TIME], axis=-1)
    found = [bands.amplitude(drift + wave(frequency, direction=(0.6, 0.8)), 30, one) for one in bands.BANDS]
    assert found[band] == pytest.approx(0.2, rel=0.02)
    assert max(found[:band] + found[band + 1 :]) < 0.02


def test_the_amplitude_of_noise_is_that_of_its_periodogram():
    noise = np.random.default_rng(0).normal(size=(300, 2))
    frequency, density = signal.periodogram(noise, 30, window="hann", detrend="linear", axis=0)
    inside = (frequency >= 0.9) & (frequency < 1.8)
    expected = np.sqrt(2 * density[inside].sum() * 0.1)  # bins of .1 Hz
    assert bands.amplitude(noise, 30, bands.FIDGETY) == pytest.approx(expected)


def test_the_power_of_both_coordinates_adds_up():
    circle = wave(1.35) + np.roll(wave(1.35), 5, axis=0)[:, ::-1]
    assert bands.amplitude(circle, 30, bands.FIDGETY) == pytest.approx(0.2 * np.sqrt(2), rel=0.05)


def test_runs_between_gaps_count_by_their_length():
    moving = wave(1.35)
    moving[200:] = 0
    moving[[199, 200]] = np.nan
    expected = 0.2 * np.sqrt(199 / (199 + 99))
    assert bands.amplitude(moving, 30, bands.FIDGETY) == pytest.approx(expected, rel=0.03)


def test_a_run_needs_two_periods_of_the_lowest_frequency():
    assert np.isfinite(bands.amplitude(wave(0.65)[:150], 30, bands.BANDS[0]))
    assert np.isnan(bands.amplitude(wave(0.65)[:149], 30, bands.BANDS[0]))


def test_a_rate_too_low_for_a_band_and_no_position_at_all_have_none():
    assert np.isnan(bands.amplitude(wave(1.35), 3.6, bands.FIDGETY))
    assert np.isnan(bands.amplitude(np.full((300, 2), np.nan), 30, bands.FIDGETY))


def test_bands_follow_each_other_and_have_names():
    assert [bands.name(band) for band in bands.BANDS] == ["0.4-0.9", "0.9-1.8", "1.8-3", "3-6"]
    assert all(a[1] == b[0] for a, b in zip(bands.BANDS, bands.BANDS[1:], strict=False))
