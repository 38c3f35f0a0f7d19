"""Fits a calibration to films whose truth is known."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from aggpose_jax.errors import UserError
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import bands, features, reliability, uniform
from aggpose_jax.timeseries.calibration import CLOSE, COVERED, ENOUGH_INFANTS, OWN_CURVE, Calibration, Curve
from aggpose_jax.timeseries.truth import Film

MIN_INFANTS = 20  # fewer leave the bound to less than four infants in each part of the split
BINS = 100  # parts of the scores, with equal numbers of points, whose means the curves are fitted to
FOLDS = 5  # parts of the infants, for the bound
SMALLEST = 1e-6  # torso lengths; smaller expected errors would make factors of the bound infinite

# Returns positions [T, P, K, 2] in pixels of a recording, such as those of the series that is cleaned by a calibration.
Positions = Callable[[Recording, Calibration], np.ndarray]


def fit(films: Sequence[Film], domain: str, positions: Positions) -> Calibration:
    """Returns the calibration of the network of some films.

    Args:
      films: of one network and keypoint set.
      domain: what they show.
      positions: returns the positions from which features are computed.

    Raises:
      UserError: the films show fewer than MIN_INFANTS infants.
    """
    infants = np.unique([film.infant for film in films], return_inverse=True)[1]
    rows = np.repeat(infants, [len(film.confidence) for film in films])
    offset = np.concatenate([film.offset for film in films])
    confidence = np.concatenate([film.confidence for film in films])
    calibration = Calibration(
        digest=films[0].recording.facts.network,
        keypoints=films[0].recording.keypoint_set.names,
        domain=domain,
        films=len(films),
        infants=len(np.unique(infants)),
        curves=fit_curves(np.linalg.norm(offset, axis=-1), confidence, rows),
        amplitude=_amplitudes(films),
        reliability={},
    )
    return dataclasses.replace(calibration, reliability=feature_reliability(films, calibration, positions))


def fit_curves(error: np.ndarray, confidence: np.ndarray, infant: np.ndarray) -> tuple[Curve, ...]:
    """Returns the K curves of keypoints.

    Args:
      error: [N, K] torso lengths; NaN where unknown.
      confidence: [N, K] scores; NaN where there is none.
      infant: [N] number of the infant of each row.

    Raises:
      UserError: fewer than MIN_INFANTS infants have a point.
    """
    known = np.isfinite(error) & np.isfinite(confidence)
    infants = len(np.unique(infant[known.any(axis=1)]))
    if infants < MIN_INFANTS:
        raise UserError(
            f"errors of {infants} infants are too few for a calibration; give films of {MIN_INFANTS} infants or more, "
            f"better of {ENOUGH_INFANTS}"
        )
    columns = [(confidence[rows, k], error[rows, k], infant[rows]) for k, rows in enumerate(known.T)]
    counts = [len(np.unique(points[2])) for points in columns]
    pooled = None
    if min(counts) < OWN_CURVE:
        pooled = _fit_curve(*(np.concatenate([points[i] for points in columns]) for i in range(3)))
    return tuple(
        dataclasses.replace(pooled, infants=count) if pooled and count < OWN_CURVE else _fit_curve(*points)
        for points, count in zip(columns, counts, strict=True)
    )


def _fit_curve(confidence: np.ndarray, error: np.ndarray, infant: np.ndarray) -> Curve:
    """Returns the curve of points [n]."""
    curves = isotonic_curves(confidence, error)
    return Curve(*curves, bound_factor(confidence, error, infant), len(np.unique(infant)))


def isotonic_curves(confidence: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns scores [B], and at them the mean errors and probabilities of small errors by isotonic regression.

    Args:
      confidence, error: [n] scores and errors of points.
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    part = np.unique(np.searchsorted(edges, confidence), return_inverse=True)[1]
    count = np.bincount(part)
    score, mean, close = (np.bincount(part, values) / count for values in (confidence, error, error < CLOSE))
    expected = isotonic_regression(mean, weights=count, increasing=False).x
    return score, np.maximum(expected, SMALLEST), isotonic_regression(close, weights=count).x


def bound_factor(confidence: np.ndarray, error: np.ndarray, infant: np.ndarray) -> float:
    """Returns the multiple of the expected error below which a new infant's errors are with a probability of COVERED.

    It is a quantile of error / expected error of infants that the expectation was not fitted to: cross-conformal
    prediction (Vovk 2015) with FOLDS parts of the infants, each of whom counts the same, whatever its number of points,
    as in Dunn, Wasserman and Ramdas (2023), since the points of an infant are not independent.

    Args:
      confidence, error, infant: [n] scores, errors and infants of points.
    """
    number = np.unique(infant, return_inverse=True)[1]
    infants = int(number.max()) + 1
    fold = np.random.default_rng(0).permutation(infants)[number] % FOLDS
    ratio = np.empty(len(error))
    for held_out in range(FOLDS):
        inside = fold == held_out
        score, expected, _ = isotonic_curves(confidence[~inside], error[~inside])
        ratio[inside] = error[inside] / np.interp(confidence[inside], score, expected)
    weight = 1 / np.bincount(number)[number]
    order = np.argsort(ratio)
    # One infant more, the new one, is among those of which COVERED must lie below.
    wanted = min(COVERED * (infants + 1), infants)
    at = int(np.searchsorted(np.cumsum(weight[order]), wanted * (1 - 1e-9)))
    return float(ratio[order[min(at, len(ratio) - 1)]])


def _amplitudes(films: Sequence[Film]) -> dict[str, dict[str, float]]:
    """Returns the root mean square over films of the amplitude of the error, by keypoint and band."""
    result: dict[str, dict[str, float]] = {}
    sampled = [uniform.resample(film.offset, film.recording.time, features.RATE) for film in films]
    for k, keypoint in enumerate(films[0].recording.keypoint_set.names):
        result[keypoint] = {}
        for band in bands.BANDS:
            found = np.array([bands.amplitude(offset[:, k], features.RATE, band) for offset in sampled])
            found = found[np.isfinite(found)]
            result[keypoint][bands.name(band)] = float(np.sqrt(np.mean(found**2))) if len(found) else float("nan")
    return result


def feature_reliability(
    films: Sequence[Film], calibration: Calibration, positions: Positions
) -> dict[str, reliability.Reliability]:
    """Returns the reliability of each feature; network and truth each have a torso length and direction of their own.

    Args:
      films: of one keypoint set.
      calibration: of their network, for `positions`.
      positions: returns the positions from which features are computed.
    """
    measured, true = [], []
    for film in films:
        recording = film.recording
        of_film = (recording.time, recording.keypoint_set)
        measured += features.of_persons(positions(recording, calibration), recording.position, *of_film)
        true += features.of_persons(film.truth, film.truth, *of_film)
    return reliability.of_films(measured, true)
