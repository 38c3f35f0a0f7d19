"""Heatmap losses compared with values computed by hand."""

import jax
import numpy as np
import pytest

from aggpose_jax.training.losses import heatmap_mse


def test_heatmap_mse_equals_a_hand_computed_value():
    heatmaps = np.zeros((2, 1, 2, 2), np.float32)
    targets = np.zeros_like(heatmaps)
    heatmaps[0, 0, 0], targets[0, 0, 1] = (3, 5), (1, 2)
    # Squared errors: 9 and 1 for the first keypoint, 25 and 4 for the second; the mean is over 8 values.
    assert float(heatmap_mse(heatmaps, targets, np.ones((2, 2)))) == pytest.approx(0.5 * 39 / 8)
    weight = np.array([[2, 0], [1, 1]])  # squared with the error; a keypoint of weight 0 counts in the mean
    assert float(heatmap_mse(heatmaps, targets, weight)) == pytest.approx(0.5 * 4 * 10 / 8)


# Two examples, a heatmap of 1×4 pixels, three keypoints; the mean squared errors are 4, 1, 9 and 0, 16, 2.
ERRORS = np.zeros((2, 1, 4, 3), np.float32)
ERRORS[0, 0, :, 0], ERRORS[0, 0, :, 1], ERRORS[0, 0, 0, 2] = 2, (1, -1, 1, -1), 6
ERRORS[1, 0, 0, 1], ERRORS[1, 0, :2, 2] = -8, 2


@pytest.mark.parametrize(
    ("hardest", "expected"),
    [
        (0, (4 + 1 + 9 + 0 + 16 + 2) / 6),
        (1, (9 + 16) / 2),
        (2, (4 + 9 + 16 + 2) / 4),
        (3, (4 + 1 + 9 + 0 + 16 + 2) / 6),
    ],
)
def test_only_the_hardest_keypoints_of_each_example_count(hardest, expected):
    loss = heatmap_mse(ERRORS, np.zeros_like(ERRORS), np.ones((2, 3)), hardest)
    assert float(loss) == pytest.approx(0.5 * expected)


def test_a_keypoint_of_weight_0_is_not_among_the_hardest():
    weight = np.array([[1, 1, 0], [1, 0, 1]])  # the remaining errors are 4, 1 and 0, 2
    loss = heatmap_mse(ERRORS, np.zeros_like(ERRORS), weight, 1)
    assert float(loss) == pytest.approx(0.5 * (4 + 2) / 2)


def test_only_the_hardest_keypoints_have_a_gradient():
    gradient = jax.grad(heatmap_mse)(ERRORS, np.zeros_like(ERRORS), np.ones((2, 3)), 1)
    # The loss is ½ · (mean of 4 squares) / 2 examples, so the gradient is error / 8, for one keypoint in each example.
    expected = np.zeros_like(ERRORS)
    expected[0, 0, 0, 2], expected[1, 0, 0, 1] = 6 / 8, -8 / 8
    np.testing.assert_allclose(gradient, expected)
