"""The metrics of an evaluation with their intervals: of the data set, of each keypoint, and of subgroups of images."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from aggpose_jax.evidence import average_precision, intervals
from aggpose_jax.evidence.average_precision import ImageMatches
from aggpose_jax.evidence.intervals import Estimate
from aggpose_jax.evidence.persons import Persons
from aggpose_jax.evidence.units import Units
from aggpose_jax.pose.metrics import METRICS

PCK_THRESHOLDS = (0.05, 0.1, 0.2)  # fractions of the torso length
OKS_PERCENTS = (5, 25, 50, 75, 95)
ERROR_PERCENTS = (50, 95)
AREA = {"APM": 1, "ARM": 1, "APL": 2, "ARL": 2}  # index of the area range of a metric; all others: 0
MAX_LABELS = 8  # values of a field of images that divides them into subgroups


def unit_index(persons: Persons) -> np.ndarray:
    """Returns [P] the index of the unit of each person; all persons are one unit if the units are unnamed."""
    return np.unique(persons.unit, return_inverse=True)[1].astype(np.int64).reshape(-1)


def person_metrics(persons: Persons) -> dict[str, Estimate]:
    """Returns OKS (the mean), its percentiles, PCK, and the error in torso lengths (see `errors`)."""
    unit, error = unit_index(persons), persons.error
    result = {"OKS": share(persons.oks, unit)}
    result |= {f"OKS_p{percent}": intervals.percentile(persons.oks, unit, percent) for percent in OKS_PERCENTS}
    result |= {f"PCK@{threshold}": share(correct(error, threshold), unit) for threshold in PCK_THRESHOLDS}
    return result | errors(error, unit, any(persons.unit))


def keypoint_metrics(persons: Persons) -> dict[str, dict[str, Estimate]]:
    """Returns the metrics of each keypoint by its name.

    They are its mean OKS, PCK and errors; PCK@0.1 and the median error of visible and of hidden ones (visibility 2 and
    1); the bias, the mean offset in x and y of the image in torso lengths; and the scatter around it, the root mean
    square distance. Bias and scatter have no interval.
    """
    unit, error = unit_index(persons), persons.error
    result = {}
    for k, name in enumerate(persons.keypoints):
        row = {"OKS": share(persons.keypoint_oks[:, k], unit)}
        row |= {f"PCK@{t}": share(correct(error[:, k], t), unit) for t in PCK_THRESHOLDS}
        row |= errors(error[:, k], unit, any(persons.unit))
        for kind, visibility in (("visible", 2), ("hidden", 1)):
            chosen = np.where(persons.visibility[:, k] == visibility, error[:, k], np.nan)
            row[f"PCK@0.1_{kind}"] = share(correct(chosen, 0.1), unit)
            row[f"error_p50_{kind}"] = intervals.percentile(chosen, unit, 50)
        result[name] = row | _bias(persons.offset[:, k], unit)
    return result


def _bias(offset: np.ndarray, unit: np.ndarray) -> dict[str, Estimate]:
    """Returns the mean of the offsets [P, 2] and the root mean square distance from it; NaN offsets are ignored."""
    found = ~np.isnan(offset).any(-1)
    offset, infants = offset[found], len(np.unique(unit[found]))
    if not len(offset):
        return dict.fromkeys(("bias_x", "bias_y", "scatter"), Estimate(float("nan")))
    bias = offset.mean(0)
    scatter = np.sqrt(((offset - bias) ** 2).sum(-1).mean())
    values = {"bias_x": bias[0], "bias_y": bias[1], "scatter": scatter}
    return {name: Estimate(float(value), frames=len(offset), infants=infants) for name, value in values.items()}


def image_metrics(matches: ImageMatches) -> dict[str, Estimate]:
    """Returns COCO's ten metrics, with intervals from the delete-one jackknife over infants."""
    whole = average_precision.accumulate(matches, np.ones(matches.persons.shape[1], bool))
    deleted, own = average_precision.by_infant(matches)
    result = {}
    for name in METRICS:
        persons = matches.persons[AREA.get(name, 0)]
        has_person = (persons > 0) & ~np.isnan(deleted[name])
        value = whole[name] if whole[name] >= 0 else float("nan")
        result[name] = intervals.bounded(value, deleted[name][has_person], own[name][has_person], int(persons.sum()))
    return result


def subgroups(persons: Persons, ground_truth: dict[str, Any], units: Units | None) -> dict[str, dict[str, Estimate]]:
    """Returns the metrics of persons by "FIELD VALUE" for the fields of images that label all of them.

    These are the fields whose values are strings, 2 to MAX_LABELS different ones, and not names of units.
    """
    images = {image["id"]: image for image in ground_truth["images"]}
    shown = [images[i] for i in persons.image_id.tolist()]
    result = {}
    for field in label_fields(shown, units.field if units else ""):
        labels = np.array([image[field] for image in shown])
        for label in sorted(set(labels.tolist())):
            result[f"{field} {label}"] = person_metrics(select(persons, labels == label))
    return result


def label_fields(images: Sequence[dict[str, Any]], unit_field: str) -> list[str]:
    """Returns the fields that have between 2 and MAX_LABELS different strings in images that all have them."""
    excluded = {"file_name", "infant_id", "video_id", "film", unit_field}
    fields = [field for field in (images[0] if images else {}) if field not in excluded]
    labels = {field: [image.get(field) for image in images] for field in fields}
    return [field for field, values in labels.items()
            if all(isinstance(value, str) for value in values) and 2 <= len(set(values)) <= MAX_LABELS]  # fmt: skip


def select(persons: Persons, chosen: np.ndarray) -> Persons:
    """Returns the persons for whom `chosen` [P] bool is true."""
    rows = np.flatnonzero(chosen)
    picked: dict[str, Any] = {}
    for field in dataclasses.fields(Persons):
        value = getattr(persons, field.name)
        if field.name == "keypoints":
            picked[field.name] = value
        else:
            picked[field.name] = value[rows] if isinstance(value, np.ndarray) else [value[i] for i in rows]
    return Persons(**picked)


def share(values: np.ndarray, unit: np.ndarray) -> Estimate:
    """Returns the mean of values between 0 and 1, [P] or [P, K], over all units; NaN is ignored."""
    sums, counts = by_unit(values, unit)
    return intervals.mean_share(sums, counts, frames_with(values))


def frames_with(values: np.ndarray) -> int:
    """Returns the number of persons for whom one of the values [P] or [P, K] is not NaN."""
    return sum((~np.isnan(values)).reshape(len(values), -1).any(-1).tolist()) if len(values) else 0


def errors(error: np.ndarray, unit: np.ndarray, named: bool) -> dict[str, Estimate]:
    """Returns the metrics of errors [P] or [P, K] in torso lengths: error, error_p50, error_p95.

    `error` is the geometric mean over infants of their mean error of the keypoints that were found; NaN if the
    infants are not `named`. In the percentiles of all errors a keypoint that was not found is infinitely far.
    """
    found = np.where(np.isinf(error), np.nan, error)
    sums, counts = by_unit(found, unit)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    mean = intervals.geometric_mean(means, frames_with(found)) if named else Estimate(float("nan"))
    result = {"error": mean}
    flat = np.reshape(error, (len(unit), -1))
    units = np.repeat(unit, flat.shape[1])
    return result | {f"error_p{p}": intervals.percentile(flat.ravel(), units, p) for p in ERROR_PERCENTS}


def by_unit(values: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sums [U] and the numbers [U] of values [P] or [P, K] by unit; NaN is ignored."""
    flat = np.reshape(values, (len(unit), -1)).astype(np.float64)
    units = int(unit.max()) + 1 if len(unit) else 0
    per_person = np.nansum(flat, axis=1), (~np.isnan(flat)).sum(1)
    sums, counts = (np.bincount(unit, weights, minlength=units) for weights in per_person)
    return sums, counts


def correct(error: np.ndarray, threshold: float) -> np.ndarray:
    """Returns 1 where an error is at most the threshold, else 0; NaN where there is no error."""
    return np.where(np.isnan(error), np.nan, error <= threshold)


def person_shares(persons: Persons) -> dict[str, np.ndarray]:
    """Returns the values between 0 and 1 whose means are metrics, by the name of the metric: OKS [P] and PCK [P, K]."""
    error = persons.error
    return {"OKS": persons.oks, **{f"PCK@{t}": correct(error, t) for t in PCK_THRESHOLDS}}
