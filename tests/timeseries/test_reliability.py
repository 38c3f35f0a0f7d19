"""Rank correlations and their intervals."""

import numpy as np
import pytest
from scipy import stats

from aggpose_jax.timeseries import reliability


def test_a_correlation_of_14_films_has_the_wide_interval_of_bonett_and_wright():
    assert reliability.limits(0.73, 14) == pytest.approx((0.26, 0.92), abs=0.005)


def test_the_interval_covers_the_correlation_of_the_population():
    rng, covered = np.random.default_rng(0), 0
    true_rho = 6 / np.pi * np.arcsin(0.8 / 2)  # of a normal distribution with Pearson's r = .8
    for _ in range(400):
        x = rng.normal(size=100)
        found = reliability.spearman(x, 0.8 * x + 0.6 * rng.normal(size=100))
        covered += found.low <= true_rho <= found.high
    assert 0.93 <= covered / 400 <= 0.97


def test_films_with_an_unknown_value_are_left_out():
    x, y = np.array([1.0, 2, 3, 4, np.nan, 6]), np.array([1.0, 3, 2, 5, 4, np.nan])
    found = reliability.spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x[:4], y[:4]).statistic)
    assert found.films == 4


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2, 2], [np.nan, np.nan]])
def test_no_correlation_of_too_few_or_equal_values(values):
    found = reliability.spearman(np.array(values), np.arange(float(len(values))))
    assert np.isnan([found.rho, found.low, found.high]).all()
    assert not found.measurable


def test_three_films_have_no_interval_and_are_not_measurable():
    found = reliability.spearman(np.arange(3.0), np.arange(3.0))
    assert found.rho == pytest.approx(1)
    assert np.isnan([found.low, found.high]).all()
    assert not found.measurable


def test_a_feature_is_measurable_if_its_lower_limit_reaches_point_7():
    assert reliability.Reliability(0.8, 0.7, 0.9, 100).measurable
    assert not reliability.Reliability(0.8, 0.69, 0.9, 100).measurable
    assert not reliability.Reliability(0.8, 0.7, 0.9, 99).measurable


def test_features_of_films_are_compared_by_name():
    true = [{"a": float(i), "b": float(i)} for i in range(10)]
    found = reliability.of_films([{"b": -film["a"], "a": film["a"] ** 3} for film in true], true)
    assert (found["a"].rho, found["b"].rho) == pytest.approx((1, -1))
    assert found["a"].low < 1
    assert reliability.of_films([], []) == {}
