"""The filter report: gain, delay and removed power, for movements that the tests choose."""

import numpy as np
import pytest
from keypoint_films import film, record

from aggpose_jax import io
from aggpose_jax.timeseries import filter_report
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.filter_report import FREQUENCIES
from aggpose_jax.timeseries.smoothing import Butterworth, OneEuro, SavitzkyGolay


def waving(*waves: tuple[float, float], frames: int = 600, rate: float = 30):
    """Returns a recording in which all points move by sinusoids (frequency in hertz, amplitude in torso lengths)."""
    time, position = film(frames, rate)
    for frequency, amplitude in waves:
        angle = 2 * np.pi * frequency * time
        position = position + 100 * amplitude * np.stack([np.sin(angle), np.cos(angle)], axis=-1)[:, None, None]
    return record(time, position)


def report(recording, chosen):
    before, after = (clean(recording, Options(smoothing=one)) for one in (None, chosen))
    return filter_report.report(before, after, chosen)


def test_butterworth_by_its_formula_and_without_delay():
    found = report(waving((1, 0.1)), Butterworth(6))
    assert found["filter"] == "butterworth"
    assert found["cutoff"] == 6
    assert found["frame_rate"] == pytest.approx(30, rel=1e-3)
    assert found["frequency_hz"][0] == 0.2
    assert found["frequency_hz"][-1] == 6
    expected = 1 / (1 + (np.tan(np.pi * FREQUENCIES / 30) / np.tan(np.pi * 6 / 30)) ** 4)
    np.testing.assert_allclose(found["gain"], expected, atol=0.01)
    np.testing.assert_array_equal(found["delay_seconds"], 0)


def test_the_delay_of_the_one_euro_filter():
    # At low frequencies an exponential average with weight a lags by (1 − a) / a values.
    found = report(waving((0.3, 0.1), (1, 0.1), (2, 0.1), (4, 0.1)), OneEuro(cutoff=1))
    weight = 1 / (1 + 30 / (2 * np.pi))
    z = np.exp(-2j * np.pi * FREQUENCIES / 30)
    response = weight / (1 - (1 - weight) * z)
    np.testing.assert_allclose(found["gain"], np.abs(response), atol=0.01)
    np.testing.assert_allclose(found["delay_seconds"], -np.angle(response) / (2 * np.pi * FREQUENCIES), atol=0.002)
    assert found["delay_seconds"][0] == pytest.approx((1 - weight) / weight / 30, rel=0.1)


def test_one_euro_is_measured_at_the_amplitude_of_the_film():
    small, large = (report(waving((1.2, amplitude)), OneEuro(1, beta=1)) for amplitude in (0.01, 0.5))
    at = found_at(1.2)
    assert large["gain"][at] > small["gain"][at] + 0.2
    assert small["gain"][at] == pytest.approx(report(waving((1.2, 0.01)), OneEuro(1))["gain"][at], abs=0.05)


def found_at(frequency: float) -> int:
    return int(np.argmin(np.abs(FREQUENCIES - frequency)))


def test_the_gain_in_a_band_that_was_not_measured_is_unknown():
    short = report(waving((1.2, 0.1), frames=30), OneEuro(1, beta=1))
    assert np.isnan(short["gain"][found_at(1.2)])
    assert np.isfinite(short["gain"][found_at(5)])


def test_a_film_at_rest():
    still = report(waving(), OneEuro(1, beta=1))
    np.testing.assert_allclose(still["gain"], report(waving((1, 0.1)), OneEuro(1))["gain"], atol=1e-3)
    assert np.isnan([band["removed"] for band in still["bands"]]).all()


@pytest.mark.parametrize(("frequency", "band"), [(0.5, 0), (1.2, 1), (2.5, 2), (5, 3)])
def test_power_and_what_is_removed_of_it_by_band(frequency, band):
    found = report(waving((frequency, 0.2)), Butterworth(3))["bands"]
    # Each coordinate of a sinusoid has the power A² / 2.
    assert found[band]["before"] == pytest.approx(0.2**2 / 2, rel=0.03)
    gain = 1 / (1 + (np.tan(np.pi * frequency / 30) / np.tan(np.pi * 3 / 30)) ** 4)
    assert found[band]["removed"] == pytest.approx(1 - gain**2, abs=0.01)
    others = [found[other]["before"] for other in range(4) if other != band]
    assert max(others) < 0.02 * found[band]["before"]


def test_gains_stop_at_half_the_frame_rate():
    found = report(waving((1, 0.1), frames=100, rate=5), SavitzkyGolay())
    gain = np.array(found["gain"])
    assert np.isfinite(gain[FREQUENCIES < 2.4]).all()
    assert np.isnan(gain[FREQUENCIES > 2.6]).all()


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("chosen", [Butterworth(), SavitzkyGolay(), OneEuro()])
def test_a_film_that_is_too_short_has_no_bands(frames, chosen, tmp_path):
    found = report(waving((1, 0.1), frames=frames), chosen)
    assert [band["removed"] for band in found["bands"]] == pytest.approx([np.nan] * 4, nan_ok=True)
    io.write_json(tmp_path / "report.json", found)
    assert io.read_json(tmp_path / "report.json")["bands"][1]["removed"] is None


def test_a_film_without_a_pose_has_no_power():
    time, position = film(30)
    found = report(record(time, np.full_like(position, np.nan)), Butterworth())
    assert np.isnan([band["before"] for band in found["bands"]]).all()
