"""Tests of timing in turn and of intervals of ratios; no test measures a real time."""

import numpy as np
from scipy import stats

from aggpose_jax.benchmarks import timing


def test_functions_are_called_in_turn_after_two_calls_each(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    calls = []
    times = timing.in_turn({"a": lambda: calls.append("a"), "b": lambda: (calls.append("b"), next(clock))}, rounds=3)
    assert "".join(calls) == "aabb" + "ab" * 3
    assert times == {"a": [1, 1, 1], "b": [2, 2, 2]}


def test_the_ratio_is_that_of_times_of_the_same_round():
    found = timing.ratio([2.0, 30.0, 400.0], [1.0, 10.0, 100.0])
    assert found == (3.0, 2.0, 4.0)


def test_the_interval_is_the_narrowest_of_order_statistics_that_covers_the_median():
    for rounds in (6, 9, 17, 40):
        found = timing.ratio(np.arange(1, rounds + 1), np.ones(rounds))
        rank = round(found.low) - 1  # ratios below the interval
        assert round(found.high) == rounds - rank
        # The median lies outside if at most `rank` of the ratios are below it, or above it.
        assert 2 * stats.binom.cdf(rank, rounds, 0.5) <= 0.05
        assert 2 * stats.binom.cdf(rank + 1, rounds, 0.5) > 0.05
