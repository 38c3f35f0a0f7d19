"""Spikes and swaps that are planted into the movements of synthetic infants."""

import sys

import numpy as np
from programs import ROOT

sys.path.insert(0, str(ROOT / "tests" / "endurance"))
import series_faults

from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.timeseries import torso


def test_planted_spikes_and_swaps_are_found():
    rng = np.random.default_rng(0)
    truth = series_faults.truths(4, 300)
    films = [series_faults.disturbed(film, torso.of_film(film, INFANT_21).length[0], rng) for film in truth]
    spiked, swapped = series_faults.measure(truth, films)
    assert spiked.planted > 200
    assert spiked.found >= 0.95 * spiked.planted
    assert spiked.false <= 0.001 * spiked.clean
    assert swapped.planted > 500
    assert swapped.found >= 0.99 * swapped.planted
    assert swapped.false <= 1e-4 * swapped.clean
