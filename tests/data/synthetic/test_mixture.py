"""Tests of rendered infants of which some are drawn instead."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.data.synthetic.infants import RenderedInfants
from aggpose_jax.data.synthetic.mixture import MixedInfants
from aggpose_jax.data.synthetic.staging import LEVELS
from aggpose_jax.errors import UserError

BARE = LEVELS["bare"]


def test_every_third_infant_is_the_drawn_one_of_its_index():
    mixed = MixedInfants(7, 3, split="train", seed=5, variety=BARE)
    drawn, rendered = SyntheticInfants(7, seed=5), RenderedInfants(7, seed=5, variety=BARE)
    assert len(mixed) == 7
    for index in (0, 1, 2, 5, -2):
        expected = drawn[index] if index in (2, 5, -2) else rendered[index]
        for name, value in expected.items():
            np.testing.assert_array_equal(mixed[index][name], value)


def test_hidden_and_outside_keypoints_of_drawn_infants_are_absent():
    mixed = MixedInfants(40, 1, split="train", seed=0, variety=BARE)
    seen = [set() for _ in range(3)]
    for index in range(40):
        record = mixed[index]
        for visibility, absent in zip(record["keypoints"][:, 2], record["absent"], strict=True):
            seen[int(visibility)].add(bool(absent))
    assert seen == [{True}, {True}, {False}]


def test_a_split_without_drawn_infants_is_an_error():
    with pytest.raises(UserError, match="val"):
        MixedInfants(4, 2, split="val", seed=0, variety=BARE)
