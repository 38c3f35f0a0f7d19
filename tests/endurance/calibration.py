"""Measures whether a calibration holds for infants that it was not fitted to, and which features can be measured.

PYTHONPATH=. python tests/endurance/calibration.py RESULTS TRUTH WORKDIR

RESULTS is what `predict` wrote for films, and TRUTH the folder of their true keypoints. Films without either are left
out, so that the script can be run again while films are still drawn and predicted:

aggpose prepare synthetic --out films --images 10 --videos 330 --frames 150
aggpose predict films/videos --out keypoints --no-overlay
PYTHONPATH=. python tests/endurance/calibration.py keypoints films/annotations/videos WORKDIR

The infants are split by the order of their names: the last 120 (or a third, if there are fewer than 320) test, the
others fit. Nothing is chosen on the test infants. The tables go to WORKDIR/calibration.md, the calibration of the
infants that fit to WORKDIR/calibration.json.

The aims: expected and actual error within 20 % in every decile of the expected error; the 90 % bound covers .86 to .94
of all errors and .80 to .97 of each keypoint's; a higher limit of abstention never lowers PCK@0.1 by more than .01;
every feature whose rank correlation with the truth is below .7 is marked.
"""

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

TEST, ENOUGH = 120, 320
LIMITS = np.arange(0, 1, 0.1)  # of the probability, below which a keypoint is left out
BETWEEN = {"decile": (0.8, 1.2), "pooled": (0.86, 0.94), "keypoint": (0.80, 0.97)}
LARGEST_FALL = 0.01
LOWEST_RHO = 0.7


def split(films: Sequence[Film]) -> tuple[list[Film], list[Film]]:
    """Returns the films to fit and those to test, of other infants."""
    infants = sorted({film.infant for film in films}, key=io.natural_order)
    count = TEST if len(infants) >= ENOUGH else len(infants) // 3
    tested = set(infants[len(infants) - count :])
    return [film for film in films if film.infant not in tested], [film for film in films if film.infant in tested]


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


def tables(calibration: Calibration, test: Sequence[Film], every: Sequence[Film]) -> Iterator[str]:
    """Yields the lines of all tables."""
    error, confidence = errors(test)
    known = np.isfinite(error)
    expected, probability = calibration.expected_error(confidence), calibration.probability(confidence)
    yield f"Fitted to {calibration.infants} infants, tested on {len({film.infant for film in test})}.\n"
    yield "| decile | expected error | actual error | ratio |\n| --- | --- | --- | --- |"
    yield from deciles(error[known], expected[known])
    yield "\n| keypoint | covered by the 90 % bound |\n| --- | --- |"
    yield from coverage(error, calibration.bound(confidence), calibration.keypoints)
    yield "\n| limit of abstention | points that remain | PCK@0.1 |\n| --- | --- | --- |"
    yield from abstention(error[known], probability[known])
    yield "\n| feature | ρ, raw | ρ, cleaned | 95 % interval | films | mark |\n| --- | --- | --- | --- | --- | --- |"
    yield from features(every, calibration)


def main(results: str, truths: str, workdir: str) -> None:
    """Prints and writes the tables."""
    films, faults = read_films(pathlib.Path(results), pathlib.Path(truths))
    print(f"{len(films)} films, {len(faults)} left out", *faults[:3], sep="\n", flush=True)
    fitted, test = split(films)
    calibration = fitting.fit(fitted, "synthetic infants", cleaned)
    calibrations.write(calibration, pathlib.Path(workdir) / "calibration.json")
    text = "\n".join(tables(calibration, test, films)) + "\n"
    io.write_text(pathlib.Path(workdir) / "calibration.md", text)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
