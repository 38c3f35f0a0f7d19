"""All that is computed about an evaluation: its table of persons, metrics with intervals, and comparisons."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.evidence import average_precision, comparison, persons, raters, summary
from aggpose_jax.evidence.average_precision import ImageMatches
from aggpose_jax.evidence.comparison import Difference
from aggpose_jax.evidence.intervals import Estimate
from aggpose_jax.evidence.persons import PERSONS, Persons
from aggpose_jax.evidence.raters import RaterAgreement
from aggpose_jax.evidence.results import score_results
from aggpose_jax.evidence.truth import Truth
from aggpose_jax.evidence.units import Units, read_units
from aggpose_jax.pose.metrics import METRICS


@dataclasses.dataclass(frozen=True)
class Examination:
    """The metrics of an evaluation with intervals.

    Attributes:
      evaluation: the evaluation.
      units: its infants or videos; None gives no intervals.
      persons: table of its persons.
      matches: matches of its images; None without units, or where an image shows two of them.
      metrics: by name.
      keypoints: metrics by keypoint.
      subgroups: metrics by label of images.
    """

    evaluation: Evaluation
    units: Units | None
    persons: Persons
    matches: ImageMatches | None
    metrics: dict[str, Estimate]
    keypoints: dict[str, dict[str, Estimate]]
    subgroups: dict[str, dict[str, Estimate]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The differences between an evaluation and another one of the same truth, by metric and by keypoint and metric."""

    metrics: dict[str, Difference]
    keypoints: dict[str, dict[str, Difference]]


def examine(evaluation: Evaluation, by: str | None) -> Examination:
    """Returns the metrics of an evaluation, with intervals if `by` names the field of infants or videos.

    Raises:
      UserError: the field is missing in the truth, see `read_units`.
    """
    truth, keypoint_set = evaluation.ground_truth, evaluation.keypoint_set
    units = read_units(truth, by) if by else None
    table = persons.tabulate(evaluation.matches, truth, keypoint_set, units)
    matches = None
    if units and units.of_image is not None:
        matches = average_precision.match(truth, evaluation.results, keypoint_set, units.of_image, len(units))
    if matches is not None:
        metrics = summary.image_metrics(matches)
    else:
        metrics = {name: Estimate(_or_nan(evaluation.metrics[name]), frames=len(table)) for name in METRICS}
    return Examination(
        evaluation,
        units,
        table,
        matches,
        metrics | summary.person_metrics(table),
        summary.keypoint_metrics(table),
        summary.subgroups(table, truth, units),
    )


def compare(examination: Examination, other: Examination, source: str) -> Comparison:
    """Returns the differences between two systems, the first minus the other, with tests and intervals.

    Raises:
      UserError: `source`, the other one, has other persons.
    """
    comparison.check_same(examination.persons, other.persons, source)
    metrics = {}
    if examination.matches is not None and other.matches is not None:
        metrics = comparison.compare_images(examination.matches, other.matches)
    return Comparison(metrics | comparison.compare_persons(examination.persons, other.persons),
                      comparison.compare_keypoints(examination.persons, other.persons))  # fmt: skip


def compare_path(examination: Examination, path: pathlib.Path, truth: Truth) -> Comparison:
    """Returns the differences from the system of a file or folder.

    Args:
      examination: the first system, with units.
      path: persons.csv, from which AP cannot be compared, or results as for `score_results`. The table of persons in a
        folder of an evaluation is checked as well.
      truth: truth of both systems.

    Raises:
      UserError: a file is invalid, or the other system was evaluated on other persons.
    """
    table = path if path.suffix == ".csv" else path / PERSONS
    if path.suffix == ".csv" or table.is_file():
        other = persons.read(table)
        comparison.check_same(examination.persons, other, str(path))
    if path.suffix == ".csv":
        return Comparison(comparison.compare_persons(examination.persons, other),
                          comparison.compare_keypoints(examination.persons, other))  # fmt: skip
    units = examination.units
    return compare(examination, examine(score_results(path, truth), units.field if units else None), str(path))


def compare_raters(examination: Examination, files: Sequence[pathlib.Path]) -> dict[str, RaterAgreement]:
    """Returns the agreement between the truth and the raters of other files, by keypoint, see `raters`."""
    evaluation = examination.evaluation
    truth, keypoint_set = evaluation.ground_truth, evaluation.keypoint_set
    positions = raters.read_raters(files, truth, examination.persons, keypoint_set)
    return raters.agreement(positions, examination.persons)


def as_json(examination: Examination) -> dict[str, Any]:
    """Returns what metrics.json holds under `evidence`; NaN becomes null when it is written."""
    units = examination.units
    return {
        "by": units.field if units else None,
        units.kind if units else "infants": len(units) if units else None,
        "metrics": _fields(examination.metrics, units),
        "keypoints": {name: _fields(row, units) for name, row in examination.keypoints.items()},
        "subgroups": {name: _fields(row, units) for name, row in examination.subgroups.items()},
    }


def comparison_as_json(found: Comparison) -> dict[str, Any]:
    """Returns what metrics.json holds under `against`."""

    def rows(differences: dict[str, Difference]) -> dict[str, Any]:
        return {name: dataclasses.asdict(d.estimate) | {"p": d.p, "p_holm": d.adjusted}
                for name, d in differences.items()}  # fmt: skip

    return {"metrics": rows(found.metrics), "keypoints": {name: rows(row) for name, row in found.keypoints.items()}}


def raters_as_json(agreement: dict[str, RaterAgreement]) -> dict[str, Any]:
    """Returns what metrics.json holds under `raters`."""
    return {name: {"distance": dataclasses.asdict(one.distance), "sigma": one.sigma} for name, one in agreement.items()}


def _fields(estimates: dict[str, Estimate], units: Units | None) -> dict[str, Any]:
    unknown = {} if units else {"infants": None}
    return {name: dataclasses.asdict(estimate) | unknown for name, estimate in estimates.items()}


def _or_nan(value: float) -> float:
    return value if value >= 0 else float("nan")
