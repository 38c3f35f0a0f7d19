"""The file features.csv."""

import csv
import dataclasses

import pytest

from aggpose_jax.timeseries import feature_table
from aggpose_jax.timeseries.calibration import Calibration
from aggpose_jax.timeseries.reliability import Reliability

NAN = float("nan")
FOUND = {
    "left_wrist_x_median": Reliability(0.98, 0.97, 0.99, 100),
    "left_wrist_x_acceleration_iqr": Reliability(0.75, 0.65, 0.83, 100),
    "left_wrist_curvature_median": Reliability(NAN, NAN, NAN, 100),
    "left_wrist_speed_median": Reliability(0.98, 0.97, 0.99, 99),
}
CALIBRATION = Calibration("a", ("x",), "d", 100, 100, (), {}, FOUND)
VALUES = dict.fromkeys(FOUND, 0.125)


def rows(path) -> dict[str, dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["feature"]: row for row in csv.DictReader(file)}


def test_each_feature_has_its_reliability_and_those_below_the_limit_are_marked(tmp_path):
    feature_table.write([VALUES | {"left_wrist_x_iqr": NAN}], CALIBRATION, tmp_path / "features.csv")
    found = rows(tmp_path / "features.csv")
    assert found["left_wrist_x_median"] == {
        "person": "0", "feature": "left_wrist_x_median", "value": "0.125", "unit": "torso lengths",
        "reliability": "0.980", "lower_limit": "0.970", "note": "",
    }  # fmt: skip
    low = found["left_wrist_x_acceleration_iqr"]
    assert (low["unit"], low["lower_limit"]) == ("torso lengths/s²", "0.650")
    assert low["note"] == "not measurable with this network"
    unknown = found["left_wrist_curvature_median"]
    assert (unknown["reliability"], unknown["note"]) == ("", "not measurable with this network")
    few = found["left_wrist_speed_median"]
    assert (few["reliability"], few["note"]) == ("0.980", "not measurable with this network")
    assert found["left_wrist_x_iqr"]["value"] == ""


@pytest.mark.parametrize("calibration", [None, dataclasses.replace(CALIBRATION, films=99)])
def test_without_reliabilities_the_columns_are_empty(tmp_path, calibration):
    feature_table.write([VALUES, VALUES], calibration, tmp_path / "features.csv")
    lines = (tmp_path / "features.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * len(VALUES)
    assert lines[-1] == f"1,{list(VALUES)[-1]},0.125,torso lengths/s,,,"
