"""Abstention from keypoints that are more probably wrong than right."""

import numpy as np
from keypoint_films import Certainty

from aggpose_jax.timeseries import abstention


def test_keypoints_below_even_odds_are_left_out_and_missing_ones_are_not_counted():
    confidence = np.array([[[0.49, 0.5, 0.51, np.nan]]])
    assert abstention.find(confidence, Certainty()).tolist() == [[[True, False, False, False]]]
