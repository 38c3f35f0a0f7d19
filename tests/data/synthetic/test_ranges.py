"""Train and test share no value of anything a split draws."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.ranges import TEST, TRAIN, pick

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


def test_pick_is_uniform_over_the_union():
    rng = np.random.default_rng(0)
    drawn = np.array([pick(rng, ((0, 1), (10, 13))) for _ in range(4000)])
    assert (((drawn >= 0) & (drawn < 1)) | ((drawn >= 10) & (drawn < 13))).all()
    assert np.mean(drawn >= 10) == pytest.approx(0.75, abs=0.03)
    assert drawn[drawn >= 10].mean() == pytest.approx(11.5, abs=0.1)
