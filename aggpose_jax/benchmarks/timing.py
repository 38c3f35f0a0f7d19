"""Times functions in turn, because the speed of a shared machine varies, and compares them with an interval."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

ROUNDS = 9
COVERAGE = 0.95


class Ratio(NamedTuple):
    """A ratio of times: the median over the rounds, and the ends of a 95 % interval of the median."""

    median: float
    low: float
    high: float


def in_turn(functions: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Returns the seconds of each call of functions that are called in turn, `rounds` times each.

    Two calls of each come before: the first may compile, and both may take memory from the system.

    Args:
      functions: each returns when its work is done, so that one for an accelerator has to wait for it.
      rounds: number of timed calls of each.
    """
    for function in functions.values():
        function()
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Sequence[float], others: Sequence[float]) -> Ratio:
    """Returns how many times as long the first of two functions takes, from the ratios within each round.

    The interval has two order statistics of the ratios as ends, which no distribution of the times invalidates. It
    covers the median with a probability of at least 95 % from 6 rounds on; with fewer it is the range of the ratios.
    """
    ratios = np.sort(np.divide(times, others))
    outside = int(stats.binom.ppf((1 - COVERAGE) / 2, len(ratios), 0.5))
    rank = min(max(outside - 1, 0), (len(ratios) - 1) // 2)
    return Ratio(float(np.median(ratios)), float(ratios[rank]), float(ratios[-1 - rank]))
