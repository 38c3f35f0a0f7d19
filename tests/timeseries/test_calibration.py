"""Calibrations: what they read from scores, and their file."""

import json

import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.timeseries import calibration
from aggpose_jax.timeseries.calibration import Calibration, Curve
from aggpose_jax.timeseries.reliability import Reliability

LEFT = Curve(np.array([0.2, 0.6, 1.0]), np.array([0.4, 0.1, 0.1]), np.array([0.0, 0.6, 1.0]), 2.0, 250)
RIGHT = Curve(np.array([0.5]), np.array([0.3]), np.array([0.25]), 1.5, 30)
EXAMPLE = Calibration(
    digest="network-1",
    keypoints=("left_wrist", "right_wrist"),
    domain="Säuglinge, synthetic",
    films=250,
    infants=250,
    curves=(LEFT, RIGHT),
    amplitude={"left_wrist": {"0.9-1.8": 0.02}, "right_wrist": {"0.9-1.8": float("nan")}},
    reliability={"speed": Reliability(0.8, 0.7, 0.9, 250), "jerk": Reliability(*3 * [float("nan")], films=1)},
)


def test_scores_are_read_between_and_beyond_those_of_the_curve():
    confidence = np.array([[0.4, 0.9], [0.0, 0.1], [1.2, np.nan], [np.nan, 0.5]])
    np.testing.assert_allclose(
        EXAMPLE.expected_error(confidence), [[0.25, 0.3], [0.4, 0.3], [0.1, np.nan], [np.nan, 0.3]]
    )
    np.testing.assert_allclose(EXAMPLE.probability(confidence), [[0.3, 0.25], [0, 0.25], [1, np.nan], [np.nan, 0.25]])
    np.testing.assert_allclose(EXAMPLE.bound(confidence), [[0.5, 0.45], [0.8, 0.45], [0.2, np.nan], [np.nan, 0.45]])


@pytest.mark.parametrize("shape", [(2,), (0, 2), (5, 3, 2)])
def test_any_leading_axes_remain(shape):
    assert EXAMPLE.expected_error(np.full(shape, 0.5)).shape == shape
    assert np.isnan(EXAMPLE.probability(np.full(shape, np.nan))).all()


def test_what_is_written_is_read_back(tmp_path):
    calibration.write(EXAMPLE, tmp_path / "calibration.json")
    found = calibration.read(tmp_path / "calibration.json")
    for name in ("digest", "keypoints", "domain", "films", "infants"):
        assert getattr(found, name) == getattr(EXAMPLE, name)
    confidence = np.random.default_rng(0).random((20, 2))
    np.testing.assert_array_equal(found.expected_error(confidence), EXAMPLE.expected_error(confidence))
    np.testing.assert_array_equal(found.bound(confidence), EXAMPLE.bound(confidence))
    assert found.amplitude["left_wrist"] == {"0.9-1.8": 0.02}
    assert np.isnan(found.amplitude["right_wrist"]["0.9-1.8"])
    assert found.reliability["speed"] == EXAMPLE.reliability["speed"]
    assert np.isnan(found.reliability["jerk"].rho)
    assert json.loads((tmp_path / "calibration.json").read_text())["warnings"] == EXAMPLE.warnings


def test_too_few_infants_and_shared_curves_are_warned_of():
    (shared,) = EXAMPLE.warnings
    assert "1 of 2 keypoints" in shared
    few = Calibration("a", ("x",), "d", 50, 50, (LEFT,), {}, {}).warnings
    assert len(few) == 2
    assert "50 infants" in few[0]
    assert "50 films" in few[1]
    assert not Calibration("a", ("x",), "d", 200, 200, (LEFT,), {}, {}).warnings


def edit(change) -> str:
    content = {
        "network": "a", "domain": "b", "films": 1, "infants": 1, "error_amplitude": {}, "reliability": {},
        "curves": {"x": {"confidence": [0.1, 0.2], "expected_error": [2, 1], "probability": [0, 1],
                         "bound_factor": 2, "infants": 1}},
    }  # fmt: skip
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        *(edit(lambda c, key=key: c.pop(key)) for key in ("network", "domain", "films", "curves", "reliability")),
        edit(lambda c: c.update(films="many")),
        edit(lambda c: c.update(curves=[1])),
        edit(lambda c: c["curves"]["x"].update(confidence=[0.2, 0.1])),
        edit(lambda c: c["curves"]["x"].update(confidence=[])),
        edit(lambda c: c["curves"]["x"].update(confidence=[0.1, 0.2, 0.3])),
        edit(lambda c: c["curves"]["x"].update(expected_error=[1, None])),
        edit(lambda c: c["curves"]["x"].update(expected_error=[1, -1])),
        edit(lambda c: c["curves"]["x"].update(bound_factor=None)),
        edit(lambda c: c.update(error_amplitude={"x": 3})),
        edit(lambda c: c.update(reliability={"speed": {"rho": 1}})),
    ],
)
def test_a_damaged_file_is_one_line_with_its_name(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"bad\.json") as error:
        calibration.read(path)
    assert "\n" not in str(error.value)


def test_the_smallest_file_of_these_tests_is_valid(tmp_path):
    (tmp_path / "good.json").write_text(edit(lambda c: None))
    assert calibration.read(tmp_path / "good.json").probability(np.array([0.15])) == pytest.approx(0.5)
    with pytest.raises(UserError, match=r"none\.json"):
        calibration.read(tmp_path / "none.json")
