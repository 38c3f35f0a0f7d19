"""Compares two systems on the same infants: sign-flip tests, Holm's correction, differences with intervals."""

from typing import NamedTuple

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.evidence import average_precision, summary
from aggpose_jax.evidence.average_precision import ImageMatches
from aggpose_jax.evidence.intervals import MIN_TEST, Estimate, difference
from aggpose_jax.evidence.persons import Persons

EXACT = 12  # number of infants up to which all 2^m sign flips are computed
DRAWS = 9_999  # random sign flips for more infants
SEED = 0
IMAGE_METRICS = ("AP", "AP50", "AP75", "AR")
TOLERANCE = 1e-12  # differences of statistics that are due to rounding


def signs(infants: int) -> np.ndarray:
    """Returns the sign flips of a test as [R, m] bool; the first is the identity.

    They are all 2^m up to EXACT infants; else the identity and DRAWS random ones with a fixed seed, so that the p-value
    (count + 1) / (draws + 1) is the fraction of rows whose statistic is as extreme as that of the first.
    """
    if infants <= EXACT:
        return (np.arange(2**infants)[:, None] >> np.arange(infants) & 1).astype(bool)
    drawn = np.random.default_rng(SEED).integers(0, 2, (DRAWS, infants), dtype=np.int8).astype(bool)
    return np.concatenate([np.zeros((1, infants), bool), drawn])


def p_value(statistics: np.ndarray) -> float:
    """Returns the fraction of statistics [R] at least as far from 0 as the first, which is the observed one."""
    extreme = np.abs(statistics) >= np.abs(statistics[0]) - TOLERANCE
    return float(np.mean(extreme))


def sign_flip(differences: np.ndarray) -> np.ndarray:
    """Returns two-sided p-values [N] of N sums of differences over infants [N, m], by flips of the infants' signs.

    If the systems do not differ, each infant's results may be exchanged between them, which changes the sign of its
    difference (Fisher 1935; Winkler et al. 2014). NaN marks an infant without a difference, which is left out. The
    p-value is NaN for fewer than MIN_TEST infants.
    """
    p = np.full(len(differences), np.nan)
    for row, values in enumerate(differences):
        values = values[~np.isnan(values)]
        if len(values) >= MIN_TEST:
            p[row] = p_value(np.where(signs(len(values)), -1.0, 1.0) @ values)
    return p


def holm(p: np.ndarray) -> np.ndarray:
    """Returns p-values adjusted for their number by Holm (1979); NaN is ignored and stays."""
    p = np.asarray(p, np.float64)
    valid = np.flatnonzero(~np.isnan(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    adjusted = p.copy()
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def smallest_infants(tests: int, level: float = 0.05) -> int:
    """Returns the number of infants below which Holm's smallest p-value of so many tests cannot reach the level."""
    infants = 1
    while tests * 2.0 ** (1 - infants) > level:
        infants += 1
    return infants


class Difference(NamedTuple):
    """A difference between two systems.

    Attributes:
      estimate: this system minus the other, with its interval.
      p: two-sided p-value of the sign-flip test; NaN below MIN_TEST infants.
      adjusted: the p-value after Holm's correction over the keypoints; NaN for metrics of the data set.
    """

    estimate: Estimate
    p: float
    adjusted: float = float("nan")


def compare_persons(persons: Persons, other: Persons) -> dict[str, Difference]:
    """Returns the differences of OKS, PCK and error between two systems on the same persons (see `check_same`).

    The error is the geometric mean over infants of the mean error of keypoints that both systems found.
    """
    unit = summary.unit_index(persons)
    result = {}
    others = summary.person_shares(other)
    for name, values in summary.person_shares(persons).items():
        result[name] = _share_difference(values - others[name], unit)
    result["error"] = error_difference(persons.error, other.error, unit)
    return result


def compare_keypoints(persons: Persons, other: Persons) -> dict[str, dict[str, Difference]]:
    """Returns the differences of PCK@0.1 and error of each keypoint, with Holm's correction over the keypoints."""
    unit = summary.unit_index(persons)
    result: dict[str, dict[str, Difference]] = {name: {} for name in persons.keypoints}
    error, other_error = persons.error, other.error
    hit = summary.correct(error, 0.1) - summary.correct(other_error, 0.1)
    columns = range(len(persons.keypoints))
    found = {
        "PCK@0.1": [_share_difference(hit[:, k], unit) for k in columns],
        "error": [error_difference(error[:, k], other_error[:, k], unit) for k in columns],
    }
    for metric, differences in found.items():
        adjusted = holm(np.array([d.p for d in differences]))
        for name, each, corrected in zip(persons.keypoints, differences, adjusted.tolist(), strict=True):
            result[name][metric] = each._replace(adjusted=corrected)
    return result


def compare_images(matches: ImageMatches, other: ImageMatches) -> dict[str, Difference]:
    """Returns the differences of AP, AP50, AP75 and AR; the test exchanges infants' results between the systems."""
    units = matches.persons.shape[1]
    joined = average_precision.join(matches, other)
    mask = np.zeros(2 * units, bool)

    def differences(exchanged: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Returns [4] differences with some of the present infants exchanged."""
        values = []
        for first in (True, False):
            mask[:units], mask[units:] = present & (exchanged != first), present & (exchanged == first)
            found = average_precision.accumulate(joined, mask, areas=1)
            values.append([found[name] for name in IMAGE_METRICS])
        first, second = np.array(values, np.float64)
        return np.asarray(first - second)

    everyone = np.ones(units, bool)
    value = differences(~everyone, everyone)
    if not matches.persons[0].sum():
        return {name: Difference(Estimate(float("nan")), float("nan")) for name in IMAGE_METRICS}
    remaining = [everyone ^ row for row in np.eye(units, dtype=bool)]
    remaining = [row for row in remaining if matches.persons[0, row].any()]
    deleted = np.array([differences(~everyone, row) for row in remaining]).reshape(-1, len(IMAGE_METRICS))
    p = np.full(len(IMAGE_METRICS), np.nan)
    if units >= MIN_TEST:
        flipped = np.array([differences(row, everyone) for row in signs(units)])
        p = np.array([p_value(column) for column in flipped.T])
    frames = int(matches.persons[0].sum())
    return {
        name: Difference(difference(float(value[i]), deleted[:, i], frames), float(p[i]))
        for i, name in enumerate(IMAGE_METRICS)
    }


def check_same(persons: Persons, other: Persons, source: str) -> None:
    """Raises a UserError if another table has other persons, keypoints or another ground truth."""
    if persons.keypoints != other.keypoints:
        raise UserError(f"{source}: has {len(other.keypoints)} keypoints ({', '.join(other.keypoints[:3])}, …), not "
                        f"the {len(persons.keypoints)} of this evaluation in their order; evaluate it on the same "
                        "truth")  # fmt: skip
    same = len(persons) == len(other) and (
        np.array_equal(persons.annotation_id, other.annotation_id)
        and np.array_equal(persons.image_id, other.image_id)
        and np.array_equal(persons.visibility, other.visibility)
        and np.allclose(persons.torso, other.torso, rtol=1e-6, equal_nan=True)
        and np.allclose(persons.area, other.area, rtol=1e-6)
    )
    if not same:
        raise UserError(f"{source}: has other persons ({len(other)}) than this evaluation ({len(persons)}), or another "
                        "truth; evaluate both systems on the same truth")  # fmt: skip


def _share_difference(values: np.ndarray, unit: np.ndarray) -> Difference:
    """Returns the difference of a pooled mean, of which values [P] or [P, K] are the differences; NaN is ignored."""
    sums, counts = summary.by_unit(values, unit)
    sums, counts = sums[counts > 0], counts[counts > 0]
    if not len(sums):
        return Difference(Estimate(float("nan")), float("nan"))
    deleted = (sums.sum() - sums) / np.maximum(counts.sum() - counts, 1)
    estimate = difference(float(sums.sum() / counts.sum()), deleted, summary.frames_with(values))
    return Difference(estimate, float(sign_flip(sums[None])[0]))


def error_difference(error: np.ndarray, other: np.ndarray, unit: np.ndarray) -> Difference:
    """Returns the difference of geometric means over infants; the test is on the differences of the logarithms."""
    found = np.isfinite(error) & np.isfinite(other)
    both = [summary.by_unit(np.where(found, values, np.nan), unit) for values in (error, other)]
    valid = (both[0][1] > 0) & (both[0][0] > 0) & (both[1][0] > 0)
    logarithms = [np.log(sums[valid] / counts[valid]) for sums, counts in both]
    m = int(valid.sum())
    if not m:
        return Difference(Estimate(float("nan")), float("nan"))
    deleted = [np.exp((x.sum() - x) / max(m - 1, 1)) for x in logarithms]
    value = float(np.exp(logarithms[0].mean()) - np.exp(logarithms[1].mean()))
    frames = summary.frames_with(np.where(found, error, np.nan))
    estimate = difference(value, deleted[0] - deleted[1], frames)
    return Difference(estimate, float(sign_flip((logarithms[0] - logarithms[1])[None])[0]))
