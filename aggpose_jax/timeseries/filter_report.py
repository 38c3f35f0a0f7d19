"""What a smoothing filter does to the movements of a film: gain, delay, and the power that it removes."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy import signal

from aggpose_jax.timeseries import bands, torso
from aggpose_jax.timeseries.gaps import segments
from aggpose_jax.timeseries.series import Series
from aggpose_jax.timeseries.smoothing import Filter, to_uniform
from aggpose_jax.timeseries.timing import shortest_interval

FREQUENCIES = np.arange(2, 61) / 10  # hertz, from slow writhing to the fastest movements of an infant
PERIODS = 2  # of the lowest frequency of a band, which a segment must contain to count in it
REST = 1e-6  # torso lengths, an amplitude that is nothing but rounding
SETTLED, MEASURED = 10.0, 10  # seconds until a filter has settled on a sinusoid, and the periods that are measured then


@dataclasses.dataclass(frozen=True)
class BandPower:
    """The power of all keypoints of a film in a band.

    Attributes:
      low, high: hertz.
      before, after: mean power of a coordinate in square torso lengths (without a torso, in square pixels), before and
        after filtering; NaN if no segment is long enough.
    """

    low: float
    high: float
    before: float
    after: float

    @property
    def removed(self) -> float:
        """Returns the fraction of the power that the filter removes; NaN if there is none."""
        return 1 - self.after / self.before if self.before > REST**2 else np.nan


def report(before: Series, after: Series, chosen: Filter) -> dict:
    """Returns the filter report of a film as JSON values.

    Args:
      before, after: the series without and with the filter.
      chosen: the filter.
    """
    powers = power(before, after)
    rate = 1 / shortest_interval(before.recording.time)
    gain, delay = response(chosen, rate, powers)
    return {
        "filter": chosen.name,
        **dataclasses.asdict(chosen),
        "frame_rate": rate,
        "frequency_hz": FREQUENCIES.tolist(),
        "gain": gain.tolist(),
        "delay_seconds": delay.tolist(),
        "bands": [
            {"low_hz": b.low, "high_hz": b.high, "before": b.before, "after": b.after, "removed": b.removed}
            for b in powers
        ],
    }


def response(chosen: Filter, rate: float, powers: list[BandPower]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gain and the delay in seconds of a filter at FREQUENCIES, NaN above half the frame rate.

    Args:
      chosen: the filter. If its response depends on the movement, it is measured on sinusoids that have the power of
        the film in their band, and is NaN if that is unknown.
      rate: frames per second.
      powers: of the film.
    """
    contained = rate / 2 > FREQUENCIES
    values = np.full(len(FREQUENCIES), np.nan + 0j)
    if contained.any():
        values[contained] = _response(chosen, rate, FREQUENCIES[contained], powers)
    return np.abs(values), _delay(values)


def _response(chosen: Filter, rate: float, frequencies: np.ndarray, powers: list[BandPower]) -> np.ndarray:
    analytic = chosen.response(frequencies, rate)
    if analytic is not None:
        return analytic
    return np.array([_measured(chosen, rate, float(f), _amplitude(float(f), powers)) for f in frequencies])


def power(before: Series, after: Series) -> list[BandPower]:
    """Returns the power in each of bands.BANDS, over all segments of all keypoints, before and after filtering."""
    totals = np.zeros((len(bands.BANDS), 2))
    durations = np.zeros(len(bands.BANDS))
    for interval, tracks in _segments(before, after):
        duration = len(tracks) * interval
        frequencies, density = signal.periodogram(tracks, 1 / interval, "hann", detrend="linear", axis=0)
        for number, (low, high) in enumerate(bands.BANDS):
            if duration >= PERIODS / low:
                inside = (frequencies >= low) & (frequencies < high)
                energy = density[inside].sum(axis=0) * (frequencies[1] - frequencies[0]) * duration
                totals[number] += energy.reshape(2, -1).mean(axis=1)
                durations[number] += duration
    means = np.divide(totals, durations[:, None], out=np.full_like(totals, np.nan), where=durations[:, None] > 0)
    return [BandPower(*band, *map(float, mean)) for band, mean in zip(bands.BANDS, means, strict=True)]


def _segments(before: Series, after: Series) -> Iterator[tuple[float, np.ndarray]]:
    """Yields the interval in seconds and tracks [N, 4] of each segment: x and y before, x and y after filtering."""
    time = before.recording.time
    length = torso.of_film(before.recording.position, before.recording.keypoint_set).length
    scale = np.where(np.isnan(length), 1, length)[:, None, None]
    both = np.concatenate([before.position / scale, after.position / scale], axis=-1)
    present = np.isfinite(both).all(axis=-1)
    for person, keypoint in np.argwhere(present.any(axis=0)):
        for run in segments(present[:, person, keypoint], time):
            if run.stop - run.start > 1:
                grid, tracks = to_uniform(time[run], both[run, person, keypoint], shortest_interval(time))
                yield float(grid[1] - grid[0]), tracks


def _amplitude(frequency: float, powers: list[BandPower]) -> float:
    """Returns the amplitude of a sinusoid that has the power of the film in the band of a frequency, or the next."""
    band = next((band for band in powers if frequency < band.high), powers[-1])
    return float(np.maximum(np.sqrt(2 * band.before), REST))


def _measured(chosen: Filter, rate: float, frequency: float, amplitude: float) -> complex:
    """Returns the complex response of a filter to a sinusoid, by a least-squares fit after it has settled."""
    if np.isnan(amplitude):
        return complex(np.nan)
    time = np.arange(round((SETTLED + MEASURED / frequency) * rate)) / rate
    wave = amplitude * np.sin(2 * np.pi * frequency * time)
    filtered = chosen.apply(wave[:, None], rate)[:, 0]
    settled = time >= SETTLED
    angle = 2 * np.pi * frequency * time[settled]
    design = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    sine, cosine = np.linalg.lstsq(design, filtered[settled])[0]
    return complex(sine, cosine) / amplitude


def _delay(response: np.ndarray) -> np.ndarray:
    """Returns the [F] delays in seconds of a complex response at FREQUENCIES."""
    real = np.abs(response.imag) <= 1e-9 * np.abs(response)  # also negative: then the phase is turned, not delayed
    phase = np.where(real, 0, np.unwrap(np.angle(np.where(np.isnan(response), 1, response))))
    return np.where(np.isnan(response), np.nan, -phase / (2 * np.pi * FREQUENCIES))
