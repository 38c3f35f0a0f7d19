"""Intervals: values computed by hand or by scipy.stats, and every edge."""

import numpy as np
import pytest
from scipy import stats

from aggpose_jax.evidence import intervals


def logit(p):
    return np.log(p / (1 - p))


def test_a_share_has_a_t_interval_on_the_logit_by_the_jackknife_over_infants():
    hits, counts = np.array([2.0, 5, 6, 3, 8]), np.array([10.0, 10, 20, 4, 10])
    found = intervals.mean_share(hits, counts, 54)
    deleted = np.array([logit(np.delete(hits, i).sum() / np.delete(counts, i).sum()) for i in range(5)])
    error = np.sqrt(4 / 5 * ((deleted - deleted.mean()) ** 2).sum())
    expected = stats.t.interval(0.95, 4, logit(24 / 54), error)
    assert found.value == pytest.approx(24 / 54)
    assert logit(np.array([found.low, found.high])) == pytest.approx(expected)
    assert (found.frames, found.infants, found.method) == (54, 5, "jackknife")


def test_where_most_infants_are_0_or_1_the_interval_is_the_exact_binomial_one_over_infants():
    found = intervals.mean_share(np.array([10.0, 10, 10, 0, 10, 10]), np.full(6, 10.0), 60)
    exact = stats.binomtest(5, 6).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert found.method == "binomial"


def test_half_of_the_infants_between_0_and_1_suffice_for_the_jackknife():
    assert intervals.mean_share(np.array([10.0, 10, 5, 2]), np.full(4, 10.0), 40).method == "jackknife"
    assert intervals.mean_share(np.array([10.0, 10, 10, 2]), np.full(4, 10.0), 40).method == "binomial"


@pytest.mark.parametrize(("share", "limits"), [(0, (0, stats.binomtest(0, 5).proportion_ci().high)),
                                               (1, (stats.binomtest(5, 5).proportion_ci().low, 1))])  # fmt: skip
def test_a_share_of_0_or_1_has_the_exact_interval(share, limits):
    found = intervals.mean_share(np.full(5, share * 7.0), np.full(5, 7.0), 35)
    assert found.value == share
    assert (found.low, found.high) == pytest.approx(limits)
    assert found.method == "binomial"


def test_equal_infants_have_the_exact_interval_and_similar_ones_that_of_8_trials_each():
    equal = intervals.mean_share(np.full(5, 4.0), np.full(5, 8.0), 40)
    assert (equal.low, equal.high) == pytest.approx(intervals.binomial_limits(2.5, 5))
    similar = intervals.mean_share(np.array([40.0, 41, 40, 39, 40]), np.full(5, 80.0), 400)
    exact = stats.binomtest(20, 40).proportion_ci(0.95, "exact")
    assert (similar.low, similar.high) == pytest.approx((exact.low, exact.high))
    assert equal.method == "binomial"
    assert similar.method == "widened"


@pytest.mark.parametrize("infants", [1, 2, 3])
def test_fewer_than_4_infants_have_a_value_and_no_interval(infants):
    shares = np.linspace(2.0, 5.0, infants)
    for found in (
        intervals.mean_share(shares, np.full(infants, 10.0), infants),
        intervals.geometric_mean(shares, infants),
        intervals.percentile(shares, np.arange(infants), 50),
        intervals.difference(0.1, shares, infants),
    ):
        assert np.isfinite(found.value)
        assert np.isnan([found.low, found.high]).all()
        assert found.infants == infants


def test_no_values_are_nan_without_an_interval():
    nothing = np.zeros(0)
    found = (
        intervals.mean_share(nothing, nothing, 0),
        intervals.geometric_mean(np.full(5, np.nan), 0),
        intervals.percentile(np.full(5, np.nan), np.arange(5), 50),
    )
    assert np.isnan([[one.value, one.low, one.high] for one in found]).all()


def test_a_geometric_mean_has_the_t_interval_of_the_logarithms():
    means = np.array([0.03, 0.05, 0.04, 0.1, np.nan])
    found = intervals.geometric_mean(means, 40)
    logs = np.log(means[:4])
    expected = np.exp(stats.t.interval(0.95, 3, logs.mean(), stats.sem(logs)))
    assert found.value == pytest.approx(stats.gmean(means[:4]))
    assert (found.low, found.high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("means", [[0.0, 0.1, 0.1, 0.2], [0.1, 0.1, 0.1, 0.1]])
def test_a_geometric_mean_of_zero_or_of_equal_values_has_no_interval(means):
    found = intervals.geometric_mean(np.array(means), 4)
    assert found.value == pytest.approx(stats.gmean(means))
    assert np.isnan([found.low, found.high]).all()


def test_a_median_of_single_frames_of_many_infants_has_an_interval_near_that_of_order_statistics():
    values = np.sort(np.random.default_rng(0).lognormal(size=101))
    found = intervals.percentile(values, np.arange(101), 50)
    exact = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert found.value == values[50]
    assert abs(np.searchsorted(values, found.low) - np.searchsorted(values, exact.low)) <= 2
    assert abs(np.searchsorted(values, found.high) - np.searchsorted(values, exact.high)) <= 2


def test_a_percentile_of_copied_frames_has_the_interval_of_the_infants():
    values = np.random.default_rng(1).lognormal(size=12)
    once = intervals.percentile(values, np.arange(12), 50)
    copied = intervals.percentile(np.repeat(values, 30), np.repeat(np.arange(12), 30), 50)
    assert (copied.low, copied.high) == (once.low, once.high)
    assert (copied.frames, copied.infants) == (360, 12)


def test_a_percentile_counts_infinite_values():
    values = np.concatenate([np.linspace(0.1, 0.9, 9), np.full(11, np.inf)])
    found = intervals.percentile(values, np.arange(20), 50)
    assert found.value == found.high == np.inf
    assert found.low < 1


def test_a_percentile_in_a_tail_needs_40_infants():
    values = np.random.default_rng(2).lognormal(size=40)
    assert np.isnan(intervals.percentile(values[:39], np.arange(39), 95).low)
    assert intervals.percentile(values, np.arange(40), 95).low < np.percentile(values, 95)


def test_a_difference_has_the_t_interval_of_the_jackknife():
    values = np.array([0.1, 0.3, 0.2, 0.5])
    deleted = (values.sum() - values) / 3
    found = intervals.difference(values.mean(), deleted, 4)
    assert (found.low, found.high) == pytest.approx(tuple(stats.t.interval(0.95, 3, values.mean(), stats.sem(values))))
    assert np.isnan(intervals.difference(0.2, np.full(4, 0.2), 4).low)


def test_a_thousandfold_imbalance_of_frames_is_wide_and_finite():
    counts = np.array([5000.0, 5, 5, 5, 5, 5])
    found = intervals.mean_share(counts * [0.9, 0.2, 0.4, 0.6, 0.5, 0.4], counts, 5025)
    assert found.value == pytest.approx(0.9, abs=0.01)
    assert 0 < found.low < 0.5
    assert 0.9 < found.high < 1
