"""95 % intervals of metrics, for which infants, not frames, are the independent observations.

Frames of one infant are near copies, so a standard error computed from frames is several times too small. Every
standard error here is that of the delete-one jackknife over infants (Efron and Stein 1981), with quantiles of Student's
t for m − 1 degrees of freedom, where m is the number of infants. `tests/endurance/coverage.py` measures the coverage.
"""

import bisect
import dataclasses

import numpy as np
from scipy import special

LEVEL = 0.95
MIN_INTERVAL = 4  # fewer infants give no interval
MIN_TEST = 6  # fewer infants give no test: their sign flips cannot reach a p-value below .05
MIN_TAIL = 40  # fewer infants give no interval of a percentile in a tail, below 10 or above 90
NORMAL = float(special.ndtri((1 + LEVEL) / 2))
TRIALS = 8  # trials of a yes-or-no outcome that an infant counts for at most
SMALLEST = 1e-9  # a smaller standard error is taken for 0


METHODS = ("jackknife", "widened", "binomial")  # see `bounded`


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval.

    Attributes:
      value: the metric on all frames; NaN if there is none.
      low, high: limits of the interval; NaN if there is none.
      frames: number n of labelled persons, or for metrics of images of images, from which the metric was computed.
      infants: number m of independent infants (or videos) among them.
      method: how the interval was computed, a name in METHODS; "" if there is none.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    frames: int = 0
    infants: int = 0
    method: str = ""


def mean_share(sums: np.ndarray, counts: np.ndarray, frames: int) -> Estimate:
    """Returns the pooled mean Σ sums / Σ counts of values between 0 and 1, such as PCK or OKS, see `bounded`.

    Args:
      sums: [m] sum of the values of each infant.
      counts: [m] their numbers; infants without a value are ignored.
      frames: number of frames with a value.
    """
    has_value = np.asarray(counts) > 0
    sums, counts = np.asarray(sums, np.float64)[has_value], np.asarray(counts, np.float64)[has_value]
    if not len(sums):
        return Estimate(float("nan"))
    rest = np.maximum(counts.sum() - counts, 1)
    deleted = np.clip((sums.sum() - sums) / rest, 0, 1)
    return bounded(min(float(sums.sum() / counts.sum()), 1.0), deleted, sums / counts, frames)


def bounded(value: float, deleted: np.ndarray, own: np.ndarray, frames: int) -> Estimate:
    """Returns the interval of a metric between 0 and 1: jackknife-t on the logit, or Clopper and Pearson (1934).

    The exact binomial interval replaces it in two cases:
    * binomial: the logit needs variety. If fewer than half of the infants have a value of their own strictly between 0
      and 1, or the standard error is 0, the trials are the m infants. This is conservative: it covers more than 95 %.
    * widened: a few infants far worse than all others are easily missing in a sample, which then has far too small a
      standard error. An interval narrower than that of TRIALS independent trials an infant is replaced by it.

    Args:
      value: metric of all infants.
      deleted: [m] metric without each infant.
      own: [m] metric of each infant alone.
      frames: number of frames.
    """
    m = len(deleted)
    if m < MIN_INTERVAL or np.isnan(value):
        return Estimate(value, frames=frames, infants=m)
    trials = m
    if np.count_nonzero((own > 0) & (own < 1)) >= m / 2 and min(value, *deleted) > 0 and max(value, *deleted) < 1:
        error = jackknife_error(special.logit(deleted))
        half, smallest = t_quantile(m) * error, NORMAL / np.sqrt(TRIALS * m * value * (1 - value))
        if half >= smallest:
            low, high = special.expit(special.logit(value) + half * np.array([-1, 1])).tolist()
            return Estimate(value, low, high, frames, m, "jackknife")
        trials = m if error <= SMALLEST else TRIALS * m
    method = "binomial" if trials == m else "widened"
    return Estimate(value, *binomial_limits(value * trials, trials), frames, m, method)


def geometric_mean(means: np.ndarray, frames: int) -> Estimate:
    """Returns the geometric mean of positive infant means [m] with its t interval on the logarithm.

    For a mean of logarithms the jackknife is the usual standard error. NaN means are ignored. There is no interval if
    all means are equal, and the value is 0 if one of them is.
    """
    means = np.asarray(means, np.float64)
    means = means[~np.isnan(means)]
    m = len(means)
    if not m:
        return Estimate(float("nan"))
    if (means <= 0).any():
        return Estimate(0.0, frames=frames, infants=m)
    logarithms = np.log(means)
    centre = float(logarithms.mean())
    deleted = (logarithms.sum() - logarithms) / max(m - 1, 1)
    error = jackknife_error(deleted)
    if m < MIN_INTERVAL or error <= SMALLEST:
        return Estimate(float(np.exp(centre)), frames=frames, infants=m)
    half = t_quantile(m) * error
    return Estimate(
        float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half)), frames, m, "jackknife"
    )


def percentile(values: np.ndarray, infant: np.ndarray, percent: float) -> Estimate:
    """Returns a pooled percentile with its interval by inversion (Woodruff 1952).

    The interval holds the numbers x for which the interval of the fraction of values up to x (see `mean_share`) holds
    the percentage. In a tail, below 10 or above 90 %, it needs MIN_TAIL infants.

    Args:
      values: [n] values, which may be infinite; NaN is ignored.
      infant: [n] number of the infant of each value, from 0.
      percent: between 0 and 100.
    """
    valid = ~np.isnan(values)
    order = np.flatnonzero(valid)[np.argsort(np.asarray(values)[valid], kind="stable")]
    values, infant = np.asarray(values, np.float64)[order], np.unique(np.asarray(infant)[order], return_inverse=True)[1]
    if not len(values):
        return Estimate(float("nan"))
    m = int(infant.max()) + 1
    finite = bool(np.isfinite(values[-1]))  # Infinite values cannot be interpolated.
    value = float(np.percentile(values, percent, method="linear" if finite else "inverted_cdf"))
    estimate = Estimate(value, frames=len(values), infants=m)
    if m < MIN_INTERVAL or (m < MIN_TAIL and not 10 <= percent <= 90) or values[0] == values[-1]:
        return estimate
    counts = np.bincount(infant)

    def fraction(k: int) -> Estimate:
        return mean_share(np.bincount(infant[: k + 1], minlength=m), counts, len(values))

    rows, wanted = range(len(values)), percent / 100
    low = min(bisect.bisect_left(rows, wanted, key=lambda k: fraction(k).high), len(values) - 1)
    high = min(bisect.bisect_right(rows, wanted, key=lambda k: fraction(k).low), len(values) - 1)
    method = max(fraction(low).method, fraction(high).method, key=METHODS.index)
    return dataclasses.replace(estimate, low=float(values[low]), high=float(values[high]), method=method)


def jackknife_error(deleted: np.ndarray) -> float:
    """Returns the standard error of an estimate from the [m] estimates without each infant (delete-one jackknife)."""
    m = len(deleted)
    return float(np.sqrt((m - 1) / m * ((deleted - deleted.mean()) ** 2).sum()))


def t_quantile(infants: int) -> float:
    """Returns how many standard errors the limits of a 95 % interval are from the estimate."""
    return float(special.stdtrit(infants - 1, (1 + LEVEL) / 2))


def difference(value: float, deleted: np.ndarray, frames: int) -> Estimate:
    """Returns a difference between two systems on the same infants with its jackknife-t interval.

    There is no interval below MIN_INTERVAL infants, or if no infant changes the difference.

    Args:
      value: difference of the metric on all infants.
      deleted: [m] difference without each infant.
      frames: number of frames.
    """
    m = len(deleted)
    error = jackknife_error(deleted) if m >= MIN_INTERVAL and not np.isnan(value) else 0.0
    if not error > SMALLEST:
        return Estimate(value, frames=frames, infants=m)
    half = t_quantile(m) * error
    return Estimate(value, value - half, value + half, frames, m, "jackknife")


def binomial_limits(successes: float, trials: int) -> tuple[float, float]:
    """Returns the exact 95 % limits of a probability (Clopper and Pearson 1934); the successes may be fractional."""
    tail = (1 - LEVEL) / 2
    low = 0.0 if successes <= 0 else float(special.betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes >= trials else float(special.betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high
