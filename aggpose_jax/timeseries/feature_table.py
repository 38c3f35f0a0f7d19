"""The file features.csv: the features of each person with their reliability."""

import csv
import io as text_io
import math
import pathlib
from collections.abc import Mapping, Sequence

from aggpose_jax import io
from aggpose_jax.timeseries.calibration import Calibration
from aggpose_jax.timeseries.features import unit
from aggpose_jax.timeseries.reliability import ENOUGH_FILMS, Reliability

NAME = "features.csv"
HEADER = ("person", "feature", "value", "unit", "reliability", "lower_limit", "note")
NOT_MEASURABLE = "not measurable with this network"


def write(persons: Sequence[Mapping[str, float]], calibration: Calibration | None, path: pathlib.Path) -> None:
    """Writes the features of persons, a line each, atomically.

    `reliability` is Spearman's ρ with the truth over the films of the calibration, `lower_limit` its lower 95 % limit.
    They are empty without a calibration or with one of fewer than ENOUGH_FILMS films. `value` is empty where a feature
    has too few positions.

    Args:
      persons: the features of each person by name, see `features`.
      calibration: of the network; None if there is none.
      path: of the file.
    """
    text = text_io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for person, values in enumerate(persons):
        for feature, value in values.items():
            found = reliability_of(feature, calibration)
            numbers = ("", "") if found is None else (_cell(found.rho, ".3f"), _cell(found.low, ".3f"))
            lines.writerow([person, feature, _cell(value, ".6g"), unit(feature), *numbers, note(found)])
    io.write_text(path, text.getvalue())


def reliability_of(feature: str, calibration: Calibration | None) -> Reliability | None:
    """Returns the reliability of a feature; None without a calibration of ENOUGH_FILMS films."""
    if calibration is None or calibration.films < ENOUGH_FILMS:
        return None
    return calibration.reliability.get(feature)


def note(reliability: Reliability | None) -> str:
    """Returns what a reader has to know of a feature of this reliability; empty if nothing."""
    return NOT_MEASURABLE if reliability and not reliability.measurable else ""


def _cell(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
