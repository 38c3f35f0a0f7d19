"""The loss by hand."""

import numpy as np
import pytest

from aggpose_jax.training.losses import heatmap_mse


def test_heatmap_mse_by_hand():
    heatmaps = np.zeros((2, 1, 2, 2), np.float32)
    targets = np.zeros_like(heatmaps)
    heatmaps[0, 0, 0], targets[0, 0, 1] = (3, 5), (1, 2)
    # Squared errors 9 and 1 for the first keypoint, 25 and 4 for the second, of 8 values in all.
    assert float(heatmap_mse(heatmaps, targets, np.ones((2, 2)))) == pytest.approx(0.5 * 39 / 8)
    weight = np.array([[2, 0], [1, 1]])  # squared with the error; a weight of 0 stays in the mean
    assert float(heatmap_mse(heatmaps, targets, weight)) == pytest.approx(0.5 * 4 * 10 / 8)
