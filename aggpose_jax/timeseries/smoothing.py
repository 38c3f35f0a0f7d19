"""Smoothing filters. They are applied to each segment of a track, on uniform time, and never across a gap."""

import dataclasses
from typing import ClassVar, TypeAlias

import numpy as np
from scipy import interpolate, signal

from aggpose_jax.errors import UserError
from aggpose_jax.timeseries.gaps import segments
from aggpose_jax.timeseries.timing import shortest_interval, typical_interval

HIGHEST_CUTOFF = 0.45  # of the frame rate; half of it is the highest frequency that a film contains
PADDING = 3  # periods of the cutoff by which a segment is continued at its ends, in which the filter settles


@dataclasses.dataclass(frozen=True)
class Butterworth:
    """A low-pass filter of second order, applied forwards and backwards: without delay, the gain is squared.

    Attributes:
      cutoff: hertz at which the gain is 1/2.
    """

    cutoff: float = 6.0
    name: ClassVar[str] = "butterworth"

    def _sections(self, rate: float) -> np.ndarray:
        return signal.butter(2, self.cutoff, fs=rate, output="sos")

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        """Returns filtered values [N, C]; the ends are continued by their point reflection."""
        padding = min(len(values) - 1, int(np.ceil(PADDING * rate / self.cutoff)))
        return signal.sosfiltfilt(self._sections(rate), values, axis=0, padlen=padding)

    def response(self, frequencies: np.ndarray, rate: float) -> np.ndarray:
        """Returns the response [F], which is real."""
        _, once = signal.sosfreqz(self._sections(rate), frequencies, fs=rate)
        return np.abs(once) ** 2 + 0j


@dataclasses.dataclass(frozen=True)
class SavitzkyGolay:
    """A fit of a parabola to a moving window, evaluated at its middle: without delay.

    Source: A. Savitzky and M. Golay, Smoothing and differentiation of data, Analytical Chemistry 36 (1964).

    Attributes:
      window: seconds; rounded to an odd number of values, at least 5, since three values are on a parabola.
    """

    window: float = 0.23  # seven values at 30 frames per second
    name: ClassVar[str] = "savgol"
    _DEGREE: ClassVar[int] = 2

    def _size(self, rate: float) -> int:
        return max(2 * round((self.window * rate - 1) / 2) + 1, 5)

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        """Returns filtered values [N, C]; a segment shorter than the window is returned as it is."""
        size = self._size(rate)
        return signal.savgol_filter(values, size, self._DEGREE, axis=0) if len(values) >= size else values

    def response(self, frequencies: np.ndarray, rate: float) -> np.ndarray:
        """Returns the response [F], which is real and in places negative."""
        size = self._size(rate)
        offsets = np.arange(size) - size // 2
        waves = np.exp(2j * np.pi * np.outer(frequencies, offsets) / rate)
        return waves @ signal.savgol_coeffs(size, self._DEGREE) + 0j


@dataclasses.dataclass(frozen=True)
class OneEuro:
    """A low-pass filter of first order, whose cutoff rises with the speed. It delays.

    Source: G. Casiez, N. Roussel and D. Vogel, 1€ filter, CHI 2012, algorithm 1.

    Attributes:
      cutoff: hertz at rest.
      beta: hertz by which the cutoff rises for each torso length per second.
    """

    cutoff: float = 1.0
    beta: float = 0.0
    name: ClassVar[str] = "oneeuro"
    _SPEED_CUTOFF: ClassVar[float] = 1.0  # hertz, as in the paper

    def apply(self, values: np.ndarray, rate: float) -> np.ndarray:
        """Returns filtered values [N, C] of values in torso lengths."""
        filtered = values.copy()
        speed = np.zeros(values.shape[1:])
        for i in range(1, len(values)):
            change = (values[i] - filtered[i - 1]) * rate
            speed += _weight(self._SPEED_CUTOFF, rate) * (change - speed)
            weight = _weight(self.cutoff + self.beta * np.abs(speed), rate)
            filtered[i] = filtered[i - 1] + weight * (values[i] - filtered[i - 1])
        return filtered

    def response(self, frequencies: np.ndarray, rate: float) -> None:
        """Returns None: the response depends on the speeds."""


def _weight(cutoff: np.ndarray | float, rate: float) -> np.ndarray | float:
    """Returns the weight of a new value in an exponential average with this cutoff in hertz."""
    return 1 / (1 + rate / (2 * np.pi * cutoff))


# Each has `apply`, which returns filtered values [N, C] of C tracks of N values with `rate` values per second, and
# `response`, which returns the complex response at frequencies [F] in hertz, or None if it depends on the values.
Filter: TypeAlias = Butterworth | SavitzkyGolay | OneEuro
FILTERS: dict[str, type[Filter]] = {one.name: one for one in (Butterworth, SavitzkyGolay, OneEuro)}


def check(chosen: Filter, time: np.ndarray) -> None:
    """Checks that a filter suits the times [T] of the frames of a film.

    Raises:
      UserError: the cutoff of a Butterworth filter is not below HIGHEST_CUTOFF of the frame rate.
    """
    rate = 1 / typical_interval(time)
    if isinstance(chosen, Butterworth) and chosen.cutoff >= HIGHEST_CUTOFF * rate:
        raise UserError(
            f"{chosen.name}: a cutoff of {chosen.cutoff:g} Hz is too high for {rate:.4g} frames per second; choose one "
            f"below {HIGHEST_CUTOFF * rate:.3g} Hz"
        )


def smooth(position: np.ndarray, time: np.ndarray, chosen: Filter) -> np.ndarray:
    """Returns filtered positions [T, P, K, 2]; NaN where they were.

    The values of a segment are interpolated at equal times by a cubic spline, filtered, and interpolated at the times
    of the frames.

    Args:
      position: [T, P, K, 2] in torso lengths; NaN where missing.
      time: [T] seconds, rising.
      chosen: the filter.

    Raises:
      UserError: see `check`.
    """
    check(chosen, time)
    position = position.copy()
    present = np.isfinite(position).all(axis=-1)
    for person, keypoint in np.argwhere(present.any(axis=0)):
        track = position[:, person, keypoint]
        for run in segments(present[:, person, keypoint], time):
            if run.stop - run.start > 1:
                grid, values = to_uniform(time[run], track[run], shortest_interval(time))
                filtered = chosen.apply(values, 1 / (grid[1] - grid[0]))
                track[run] = interpolate.CubicSpline(grid, filtered)(time[run])
    return position


def to_uniform(time: np.ndarray, values: np.ndarray, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns [M] equal times from the first to the last of N times, about `interval` apart, and values [M, C] at them.

    Args:
      time: [N] seconds, rising, N > 1.
      values: [N, C], which a cubic spline interpolates.
      interval: seconds.
    """
    grid = np.linspace(time[0], time[-1], max(round((time[-1] - time[0]) / interval) + 1, 2))
    return grid, interpolate.CubicSpline(time, values)(grid)
