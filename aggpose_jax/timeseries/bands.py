"""Amplitudes of movement in frequency bands."""

import numpy as np
from scipy import signal

# Limits of the bands in Hz. Fidgety movements of infants lie in the second one. The lowest is the slowest movement of
# which a film of five seconds holds two periods.
BANDS = ((0.4, 0.9), (0.9, 1.8), (1.8, 3.0), (3.0, 6.0))
FIDGETY = BANDS[1]
PERIODS = 2  # periods of the lowest frequency of a band that a run without gaps must hold to be used


def name(band: tuple[float, float]) -> str:
    """Returns the name of a band, such as 0.9-1.8."""
    return f"{band[0]:g}-{band[1]:g}"


def amplitude(position: np.ndarray, rate: float, band: tuple[float, float]) -> float:
    """Returns the amplitude of the sinusoid along a line that has the power of a movement in a band.

    It is √2 times the root mean square of the part of the movement in the band, from periodograms of the runs without
    gaps (Hann window, straight line removed), each weighted by its length.

    Args:
      position: [N, 2] at uniform times; NaN where missing.
      rate: samples per second.
      band: lower and upper frequency in Hz.

    Returns:
      The amplitude in the unit of the positions; NaN if no run is long enough or the rate is too low for the band.
    """
    if rate <= 2 * band[1]:
        return float("nan")
    known = np.isfinite(position).all(axis=1)
    ends = np.flatnonzero(np.diff(known, prepend=False, append=False)).reshape(-1, 2)
    runs = [position[a:b] for a, b in ends if (b - a) * band[0] >= PERIODS * rate]
    if not runs:
        return float("nan")
    powers = [_power(run, rate, band) for run in runs]
    return float(np.sqrt(2 * np.average(powers, weights=[len(run) for run in runs])))


def _power(run: np.ndarray, rate: float, band: tuple[float, float]) -> float:
    """Returns the variance of a run [n, 2] in a band, the sum of both coordinates."""
    window = signal.windows.hann(len(run), sym=False)
    spectrum = np.fft.rfft(signal.detrend(run, axis=0) * window[:, None], axis=0)
    frequency = np.fft.rfftfreq(len(run), 1 / rate)
    inside = (frequency >= band[0]) & (frequency < band[1])
    return float(2 * (np.abs(spectrum[inside]) ** 2).sum() / (len(run) * (window**2).sum()))
