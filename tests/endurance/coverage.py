"""Measures the coverage of the printed intervals and the level and power of the sign-flip test. Run it by hand:

PYTHONPATH=. python tests/endurance/coverage.py [SIMULATIONS] [KIND …]

Each simulation draws M infants with 10 to 40 frames each and an intraclass correlation of about .8. The interval must
contain the value of the population in 95 % of the simulations. Beside it stands the interval that takes frames for
independent. KIND is a name in KINDS, or `test`; without one, all are measured.
"""

import dataclasses
import sys
import zlib

import numpy as np
from scipy import special, stats

from aggpose_jax.evidence import average_precision, comparison, intervals
from aggpose_jax.evidence.average_precision import ImageMatches
from aggpose_jax.pose.metrics import similarity

INFANTS = (6, 10, 20, 40)
POPULATION = 4000  # infants from which the values of the population are computed
POINTS = 21
THRESHOLDS = np.linspace(0.5, 0.95, 10)
BETWEEN, WITHIN = np.sqrt(0.8), np.sqrt(0.2)  # standard deviations whose intraclass correlation is .8


def frames_of(rng, m: int) -> np.ndarray:
    """Returns the number of the infant of each frame."""
    return np.repeat(np.arange(m), rng.integers(10, 41, m))


def effects(rng, infant: np.ndarray) -> np.ndarray:
    """Returns standard normal effects of frames with an intraclass correlation of .8."""
    return BETWEEN * rng.standard_normal(infant[-1] + 1)[infant] + WITHIN * rng.standard_normal(len(infant))


def shares(rng, m: int, centre: float = 2.0, between: float = 1.6):
    """Draws the fraction of a frame's 21 keypoints that are correct."""
    infant = frames_of(rng, m)
    probability = special.expit(centre + between * rng.standard_normal(m)[infant])
    return infant, rng.binomial(POINTS, probability) / POINTS


def even_shares(rng, m: int):
    """Draws fractions of correct keypoints of frames that are near copies."""
    infant = frames_of(rng, m)
    return infant, np.round(POINTS * special.expit(2.5 + 1.1 * effects(rng, infant))) / POINTS


def mixed_shares(rng, m: int):
    """Draws fractions of correct keypoints of infants of which one in five is far worse than the others."""
    infant = frames_of(rng, m)
    probability = np.where(rng.random(m) < 0.2, rng.beta(7, 3, m), rng.beta(60, 1.5, m))
    return infant, rng.binomial(POINTS, probability[infant]) / POINTS


def good_shares(rng, m: int):
    """Draws fractions of correct keypoints with a mean of about .95."""
    return shares(rng, m, 4.5, 2.0)


def hits(rng, m: int, centre: float = 2.0):
    """Draws for each frame whether one keypoint is correct. Each infant has a probability of its own."""
    infant = frames_of(rng, m)
    probability = special.expit(centre + 8 * rng.standard_normal(m))
    return infant, (rng.random(len(infant)) < probability[infant]).astype(float)


def rare_misses(rng, m: int):
    """Draws hits that most infants have in all frames; mean about .95."""
    return hits(rng, m, 16.0)


def errors(rng, m: int):
    """Draws log-normal errors in torso lengths."""
    infant = frames_of(rng, m)
    return infant, 0.05 * np.exp(0.6 * effects(rng, infant))


def skewed_errors(rng, m: int):
    """Draws log-normal errors with a heavy tail."""
    infant = frames_of(rng, m)
    return infant, 0.05 * np.exp(1.2 * effects(rng, infant))


def detections(rng, infant: np.ndarray, size: np.ndarray) -> ImageMatches:
    """Draws one detection of a stick person in each frame, and a false detection in every tenth.

    Args:
      rng: generator.
      infant: [n] number of the infant of each frame.
      size: [n] standard deviation of the errors of its 21 keypoints. The score falls with them.
    """
    truth = np.column_stack([np.linspace(0, 1, POINTS), np.linspace(0, 1, POINTS) % 0.2])
    moved = truth + size[:, None, None] * rng.standard_normal((len(infant), POINTS, 2))
    oks = similarity(moved, truth, np.full(len(infant), 0.5), np.full(POINTS, 0.05)).mean(-1)
    false = np.flatnonzero(rng.random(len(infant)) < 0.1)
    index = np.concatenate([np.arange(len(infant)), false])
    oks = np.concatenate([oks, np.zeros(len(false))])
    score = oks + 0.2 * rng.standard_normal(len(oks)) - 0.3 * (oks == 0)
    order = np.column_stack([-score, index, np.arange(len(oks)) >= len(infant)])
    rows = np.lexsort(order.T[::-1])
    matched = np.stack(3 * [oks[rows] >= THRESHOLDS[:, None]])
    persons = np.stack(3 * [np.bincount(infant)])
    return ImageMatches(order[rows], infant[index][rows], matched, np.zeros_like(matched), persons)


def two_systems(rng, m: int) -> tuple[ImageMatches, ImageMatches]:
    """Draws the detections of two systems on the same infants, of which the second has errors smaller by a tenth."""
    infant = frames_of(rng, m)
    common = effects(rng, infant)
    sizes = (0.04 * factor * np.exp(0.35 * common + 0.35 * effects(rng, infant)) for factor in (1, 0.9))
    first, second = (detections(rng, infant, size) for size in sizes)
    return first, second


def pooled(infant: np.ndarray, values: np.ndarray):
    return intervals.mean_share(np.bincount(infant, values), np.bincount(infant), len(values))


def geometric(infant: np.ndarray, values: np.ndarray):
    return intervals.geometric_mean(np.bincount(infant, values) / np.bincount(infant), len(values))


def naive_mean(values: np.ndarray) -> tuple[float, float]:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def naive_geometric(values: np.ndarray) -> tuple[float, float]:
    low, high = naive_mean(np.log(values))
    return np.exp(low), np.exp(high)


def naive_percentile(percent: float):
    def limits(values: np.ndarray) -> tuple[float, float]:
        ranks = stats.binom.ppf([0.025, 0.975], len(values), percent / 100) / len(values)
        return tuple(np.quantile(values, np.clip(ranks, 0, 1)))

    return limits


def of_percentile(percent: float):
    return lambda infant, values: intervals.percentile(values, infant, percent)


def median_of_infants(infant: np.ndarray, values: np.ndarray) -> float:
    return float(np.exp(np.log(np.bincount(infant, values) / np.bincount(infant)).mean()))


def mean_difference(infant: np.ndarray, values: np.ndarray):
    sums, counts = np.bincount(infant, values), np.bincount(infant)
    deleted = (sums.sum() - sums) / (counts.sum() - counts)
    return intervals.difference(float(values.mean()), deleted, len(values))


def share_difference(rng, m: int):
    """Draws differences of the fractions of correct keypoints between two systems with effects of their own."""
    infant = frames_of(rng, m)
    common = rng.standard_normal(m)[infant]
    logits = (1.5 + common + 0.5 * effects(rng, infant) + better for better in (0, 0.3))
    a, b = (np.round(POINTS * special.expit(logit)) for logit in logits)
    return infant, (b - a) / POINTS


def error_difference(rng, m: int):
    """Draws the errors of two systems on the same infants, as complex numbers."""
    infant = frames_of(rng, m)
    common = effects(rng, infant)
    a, b = (0.05 * factor * np.exp(0.4 * common + 0.4 * effects(rng, infant)) for factor in (1, 0.9))
    return infant, a + 1j * b


def geometric_difference(infant: np.ndarray, values: np.ndarray):
    return comparison.error_difference(values.real[:, None], values.imag[:, None], infant).estimate


def difference_of_means(infant: np.ndarray, values: np.ndarray) -> float:
    return median_of_infants(infant, values.real) - median_of_infants(infant, values.imag)


def naive_difference(values: np.ndarray) -> tuple[float, float]:
    return naive_mean(values.real - values.imag)


KINDS = {  # name: draw, estimate, value of the population from (infant, values), naive interval from values
    "PCK, mean .8": (shares, pooled, lambda i, v: v.mean(), naive_mean),
    "PCK, mean .9": (even_shares, pooled, lambda i, v: v.mean(), naive_mean),
    "PCK, mean .95": (good_shares, pooled, lambda i, v: v.mean(), naive_mean),
    "PCK, every fifth infant bad": (mixed_shares, pooled, lambda i, v: v.mean(), naive_mean),
    "PCK of one keypoint": (hits, pooled, lambda i, v: v.mean(), naive_mean),
    "PCK of one keypoint, .97": (rare_misses, pooled, lambda i, v: v.mean(), naive_mean),
    "geometric mean error": (errors, geometric, median_of_infants, naive_geometric),
    "geometric mean, heavy tail": (skewed_errors, geometric, median_of_infants, naive_geometric),
    "median error": (errors, of_percentile(50), lambda i, v: np.median(v), naive_percentile(50)),
    "median error, heavy tail": (skewed_errors, of_percentile(50), lambda i, v: np.median(v), naive_percentile(50)),
    "25th percentile": (errors, of_percentile(25), lambda i, v: np.percentile(v, 25), naive_percentile(25)),
    "75th percentile": (errors, of_percentile(75), lambda i, v: np.percentile(v, 75), naive_percentile(75)),
    "95th percentile": (errors, of_percentile(95), lambda i, v: np.percentile(v, 95), naive_percentile(95)),
    "difference of PCK": (share_difference, mean_difference, lambda i, v: v.mean(), naive_mean),
    "difference of errors": (error_difference, geometric_difference, difference_of_means, naive_difference),
}


def intraclass_correlation(infant: np.ndarray, values: np.ndarray) -> float:
    """Returns the intraclass correlation from a one-way analysis of variance."""
    counts = np.bincount(infant)
    means = np.bincount(infant, values) / counts
    m, n = len(counts), len(values)
    between = (counts * (means - values.mean()) ** 2).sum() / (m - 1)
    within = ((values - means[infant]) ** 2).sum() / (n - m)
    size = (n - (counts**2).sum() / n) / (m - 1)
    return (between - within) / (between + (size - 1) * within)


def covers(estimate, truth: float) -> float:
    return float(estimate.low <= truth <= estimate.high) if np.isfinite(estimate.low) else float("nan")


def measure(name: str, simulations: int) -> None:
    """Prints the coverage of a kind of interval at each number of infants."""
    draw, estimate, population, naive = KINDS[name]
    seed = zlib.crc32(name.encode())
    rng = np.random.default_rng(seed)
    whole = draw(rng, POPULATION * 5)
    truth = population(*whole)
    cells = []
    for m in INFANTS:
        covered, by_frames, exact = [], [], []
        for _ in range(simulations):
            infant, values = draw(rng, m)
            found = estimate(infant, values)
            covered.append(covers(found, truth))
            exact.append(found.method in ("binomial", "widened"))
            low, high = naive(values)
            by_frames.append(low <= truth <= high)
        cells.append(f"{np.mean(covered):.3f} ({np.mean(by_frames):.2f}; {np.mean(exact):.0%})")
    icc = intraclass_correlation(whole[0], whole[1].real - whole[1].imag)
    print(f"| {name} | {truth:.3f} | {icc:.2f} | " + " | ".join(cells) + " |", flush=True)


def of_all(matches: ImageMatches) -> dict:
    return average_precision.accumulate(matches, np.ones(matches.persons.shape[1], bool), areas=1)


def of_frames(matches: ImageMatches) -> ImageMatches:
    """Returns matches in which every frame is an infant of its own."""
    images = matches.order[:, 1].astype(int)
    return dataclasses.replace(matches, unit=images, persons=np.ones((3, images.max() + 1), np.int64))


def measure_precision(simulations: int) -> None:
    """Prints the coverage of AP, AP50, AP75 and AR, and of the difference of AP between two systems.

    The interval that takes frames for independent is computed in a tenth of the simulations.
    """
    rng = np.random.default_rng(0)
    truth, better = map(of_all, two_systems(rng, POPULATION))
    names = ("AP", "AP50", "AP75", "AR")
    rows = {name: [] for name in (*names, "difference of AP")}
    for m in INFANTS:
        found = {name: [] for name in rows}
        by_frames = {name: [] for name in rows}
        for simulation in range(simulations):
            matches, other = two_systems(rng, m)
            value = of_all(matches)
            change = of_all(other)["AP"] - value["AP"]
            for name, estimate in precision_intervals(matches, other, value, change).items():
                found[name].append(estimate)
            if simulation < simulations // 10:
                naive = precision_intervals(of_frames(matches), of_frames(other), value, change)
                for name, estimate in naive.items():
                    by_frames[name].append(estimate)
        values = {**truth, "difference of AP": better["AP"] - truth["AP"]}
        for name in rows:
            covered, naive = (np.nanmean([covers(e, values[name]) for e in each[name]]) for each in (found, by_frames))
            exact = np.mean([estimate.method in ("binomial", "widened") for estimate in found[name]])
            rows[name].append(f"{covered:.3f} ({naive:.2f}; {exact:.0%})")
        print(f"{m} infants:", {name: row[-1] for name, row in rows.items()}, flush=True)
    for name, row in rows.items():
        print(f"| {name} | {values[name]:.3f} | | " + " | ".join(row) + " |", flush=True)


def precision_intervals(matches: ImageMatches, other: ImageMatches, value: dict, change: float) -> dict:
    """Returns the intervals of the metrics of a system, and of the difference of AP of another one from it."""
    deleted, own = average_precision.by_infant(matches, 1)
    result = {
        name: intervals.bounded(value[name], deleted[name], own[name], 1) for name in ("AP", "AP50", "AP75", "AR")
    }
    changes = average_precision.by_infant(other, 1)[0]["AP"] - deleted["AP"]
    return {**result, "difference of AP": intervals.difference(change, changes, 1)}


def measure_test(simulations: int) -> None:
    """Prints the level of the sign-flip test without a difference, and its power for .04 (standard deviation .05)."""
    for m in INFANTS:
        rng = np.random.default_rng(m)
        rejected = {0.0: 0, 0.04: 0}
        for difference in rejected:
            for _ in range(simulations):
                values = difference + 0.05 * rng.standard_normal((1, m))
                rejected[difference] += comparison.sign_flip(values)[0] <= 0.05
        print(f"| {m} | {rejected[0.0] / simulations:.3f} | {rejected[0.04] / simulations:.3f} |", flush=True)


def main(simulations: int = 1500, *kinds: str) -> None:
    """Prints the tables."""
    print(
        "| interval | value | ICC | "
        + " | ".join(f"{m} infants (frames as units; exact binomial)" for m in INFANTS)
        + " |"
    )
    for name in KINDS:
        if not kinds or name in kinds:
            measure(name, simulations)
    if not kinds or "AP" in kinds:
        measure_precision(simulations)
    if not kinds or "test" in kinds:
        print("| infants | level | power |")
        measure_test(simulations)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
