"""Tests of the variation of the torso length, against values computed by hand."""

import numpy as np
import pytest

from aggpose_jax.timeseries import anatomy

TIME = np.arange(300) / 30


def test_variation_is_standard_deviation_by_mean():
    length = 100 + 10 * np.sqrt(2) * np.sin(2 * np.pi * TIME)  # mean 100, standard deviation 10
    assert anatomy.variation(length, TIME) == pytest.approx(0.1)
    length[60:90] = np.nan  # a period
    assert anatomy.variation(length, TIME) == pytest.approx(0.1)


def test_a_change_is_found_where_it_is_and_its_surroundings_are_left_out():
    length = np.where(TIME < 4, 100.0, 80.0)
    length[105:135] = 300  # While the infant rolls over, from 3.5 to 4.5 s, anything is measured.
    parts = anatomy.segments(length, TIME)
    assert len(parts) == 2
    assert anatomy.variation(length, TIME) == 0


def test_a_small_change_and_a_short_one_begin_no_segment():
    assert anatomy.segments(np.where(TIME < 4, 100.0, 91.0), TIME) == [slice(0, 300)]
    assert anatomy.segments(np.where(TIME < 0.4, 100.0, 50.0), TIME) == [slice(0, 300)]


def test_three_postures_are_three_segments():
    length = np.select([TIME < 3, TIME < 6], [100.0, 70.0], 120.0)
    assert len(anatomy.segments(length, TIME)) == 3
    assert anatomy.variation(length, TIME) == 0


def test_a_length_that_changes_all_the_time_varies():
    length = np.where(TIME % 5 < 2.5, 100.0, 50.0)  # half of the frames each: mean 75, standard deviation 25
    assert anatomy.segments(length, TIME) == [slice(0, 300)]
    assert anatomy.variation(length, TIME) == pytest.approx(1 / 3)


def test_unknown_lengths_have_no_variation():
    assert np.isnan(anatomy.variation(np.full(300, np.nan), TIME))
    assert np.isnan(anatomy.variation(np.array([100.0]), np.zeros(1)))
    assert np.isnan(anatomy.variation(np.zeros(0), np.zeros(0)))
