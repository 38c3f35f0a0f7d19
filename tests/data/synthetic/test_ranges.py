"""Tests that the ranges of the train and test splits are disjoint, and of sampling from ranges."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.ranges import TEST, TRAIN, sample_uniform

FIELDS = [f.name for f in dataclasses.fields(TRAIN)]


@pytest.mark.parametrize("field", [f for f in FIELDS if not f.endswith("patterns")])
def test_intervals_are_disjoint(field):
    for low, high in getattr(TRAIN, field):
        for other_low, other_high in getattr(TEST, field):
            assert high <= other_low or other_high <= low


@pytest.mark.parametrize("field", [f for f in FIELDS if f.endswith("patterns")])
def test_patterns_are_disjoint(field):
    assert getattr(TRAIN, field)
    assert not set(getattr(TRAIN, field)) & set(getattr(TEST, field))


def test_samples_are_uniform_over_the_union_of_the_intervals():
    rng = np.random.default_rng(0)
    samples = np.array([sample_uniform(rng, ((0, 1), (10, 13))) for _ in range(4000)])
    assert (((samples >= 0) & (samples < 1)) | ((samples >= 10) & (samples < 13))).all()
    assert np.mean(samples >= 10) == pytest.approx(0.75, abs=0.03)
    assert samples[samples >= 10].mean() == pytest.approx(11.5, abs=0.1)
