"""Measures whether a calibration holds for infants that it was not fitted to, and which features can be measured.

PYTHONPATH=. python tests/endurance/calibration.py RESULTS TRUTH WORKDIR

RESULTS is what `predict` wrote for films, and TRUTH the folder of their true keypoints. Films without either are left
out, so that the script can be run again while films are still drawn and predicted. For the network of the package they
are the folders keypoints and truth of `launch/calibration.sh`.

The infants are divided into five parts, and each part tests the calibration that is fitted to the other four, so that
every infant is one that its calibration has not seen. Nothing is chosen by the result. The tables go to
WORKDIR/calibration.md, the calibration of all infants to WORKDIR/calibration.json.

The aims: expected and actual error within 20 % in every decile of the expected error; the 90 % bound covers .86 to .94
of all errors and .80 to .97 of each keypoint's; a higher limit of abstention never lowers PCK@0.1 by more than .01;
every feature whose rank correlation with the truth is below .7 is marked.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.calibrate import cleaned, read_films
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import calibration as calibrations
from aggpose_jax.timeseries import fitting
from aggpose_jax.timeseries.calibration import CLOSE, Calibration
from aggpose_jax.timeseries.truth import Film

FOLDS = 5
LIMITS = np.arange(0, 1, 0.1)  # of the probability, below which a keypoint is left out
BETWEEN = {"decile": (0.8, 1.2), "pooled": (0.86, 0.94), "keypoint": (0.80, 0.97)}
LARGEST_FALL = 0.01
LOWEST_RHO = 0.7
DOMAIN = "synthetic infants, rendered and drawn, in clothes and surroundings that training never shows"


@dataclasses.dataclass(frozen=True)
class Points:
    """Points of infants that their calibration has not seen, [N, K] each, NaN where one is unknown.

    Attributes:
      error, expected, bound: actual error, expected error and the 90 % bound in torso lengths.
      probability: of an error below CLOSE.
    """

    error: np.ndarray
    expected: np.ndarray
    bound: np.ndarray
    probability: np.ndarray


def tested(films: Sequence[Film]) -> Points:
    """Returns the points of all films, each judged by the calibration of the infants in the other parts."""
    infants = sorted({film.infant for film in films}, key=io.natural_order)
    parts = []
    for fold in range(FOLDS):
        held_out = set(infants[fold::FOLDS])
        fitted = fitting.fit([film for film in films if film.infant not in held_out], "", raw)
        error, confidence = errors([film for film in films if film.infant in held_out])
        judged = (fitted.expected_error(confidence), fitted.bound(confidence), fitted.probability(confidence))
        parts.append((error, *judged))
    return Points(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def errors(films: Sequence[Film]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the errors in torso lengths and scores [N, K] of films; both NaN where one is unknown."""
    error = np.concatenate([np.linalg.norm(film.offset, axis=-1) for film in films])
    confidence = np.concatenate([film.confidence for film in films])
    known = np.isfinite(error) & np.isfinite(confidence)
    return np.where(known, error, np.nan), np.where(known, confidence, np.nan)


def is_between(value: float, kind: str) -> str:
    """Returns a cell with a value and whether it is between the limits of its kind."""
    low, high = BETWEEN[kind]
    return f"{value:.3f} {'' if low <= value <= high else '**missed**'}".strip()


def deciles(error: np.ndarray, expected: np.ndarray) -> Iterator[str]:
    """Yields the rows of expected and actual error in each tenth of the points by expected error."""
    order = np.argsort(expected, kind="stable")
    for number, part in enumerate(np.array_split(order, 10), 1):
        mean, actual = expected[part].mean(), error[part].mean()
        yield f"| {number} | {mean:.3f} | {actual:.3f} | {is_between(actual / mean, 'decile')} |"


def coverage(error: np.ndarray, bound: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Yields the rows of the ratio of errors [N, K] that are below the bound."""
    known = np.isfinite(error)
    yield f"| all | {is_between((error <= bound)[known].mean(), 'pooled')} |"
    for k, name in enumerate(names):
        yield f"| {name} | {is_between((error[:, k] <= bound[:, k])[known[:, k]].mean(), 'keypoint')} |"


def abstention(error: np.ndarray, probability: np.ndarray) -> Iterator[str]:
    """Yields the rows of PCK and the ratio of points that remain at rising limits of abstention."""
    highest = 0.0
    for limit in LIMITS:
        remains = probability >= limit
        if not remains.any():
            return
        pck = float((error[remains] < CLOSE).mean())
        fell = highest - pck > LARGEST_FALL
        highest = max(highest, pck)
        yield f"| {limit:.1f} | {remains.mean():.3f} | {pck:.3f} {'**missed**' if fell else ''} |"


def raw(recording: Recording, calibration: Calibration) -> np.ndarray:
    """Returns the positions as predicted."""
    return recording.position


def features(films: Sequence[Film], calibration: Calibration) -> Iterator[str]:
    """Yields the rows of the reliability of each feature, from raw and from cleaned positions."""
    of_raw = fitting.feature_reliability(films, calibration, raw)
    of_clean = fitting.feature_reliability(films, calibration, cleaned)
    for name, found in of_clean.items():
        mark = "" if found.rho >= LOWEST_RHO else "below .7; "
        mark += "" if found.measurable else "not measurable"
        yield (
            f"| {name} | {of_raw[name].rho:.2f} | {found.rho:.2f} | {found.low:.2f}–{found.high:.2f} | {found.films} "
            f"| {mark.removesuffix('; ')} |"
        )


def tables(calibration: Calibration, points: Points, films: Sequence[Film]) -> Iterator[str]:
    """Yields the lines of all tables."""
    known = np.isfinite(points.error)
    yield f"{calibration.infants} infants; each is tested by a calibration of the infants of the other parts.\n"
    yield "| decile | expected error | actual error | ratio |\n| --- | --- | --- | --- |"
    yield from deciles(points.error[known], points.expected[known])
    yield "\n| keypoint | covered by the 90 % bound |\n| --- | --- |"
    yield from coverage(points.error, points.bound, calibration.keypoints)
    yield "\n| limit of abstention | points that remain | PCK@0.1 |\n| --- | --- | --- |"
    yield from abstention(points.error[known], points.probability[known])
    yield "\n| feature | ρ, raw | ρ, cleaned | 95 % interval | films | mark |\n| --- | --- | --- | --- | --- | --- |"
    yield from features(films, calibration)


def main(results: str, truths: str, workdir: str) -> None:
    """Prints and writes the tables."""
    films, faults = read_films(pathlib.Path(results), pathlib.Path(truths))
    print(f"{len(films)} films, {len(faults)} left out", *faults[:3], sep="\n", flush=True)
    calibration = fitting.fit(films, DOMAIN, cleaned)
    calibrations.write(calibration, pathlib.Path(workdir) / "calibration.json")
    text = "\n".join(tables(calibration, tested(films), films)) + "\n"
    io.write_text(pathlib.Path(workdir) / "calibration.md", text)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
