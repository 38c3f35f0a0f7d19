"""Tests of operations against plain implementations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from aggpose_jax.networks import ops


@pytest.mark.parametrize("ratio", [2, 4])
def test_reduce_windows_is_a_strided_convolution(ratio):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2 * ratio, 3 * ratio, 5)).astype(np.float32)
    kernel = rng.standard_normal((ratio, ratio, 5, 4)).astype(np.float32)
    expected = lax.conv_general_dilated(x, kernel, (ratio, ratio), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(ops.reduce_windows(x, kernel), expected, rtol=1e-4, atol=1e-4)


def test_upsample_nearest_repeats_rows_and_columns():
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)[None, :, :, None] * np.float32([1, 10])
    y = ops.upsample_nearest(x, 2)
    assert y.shape == (1, 4, 6, 2)
    rows = [[1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6], [4, 4, 5, 5, 6, 6]]
    np.testing.assert_array_equal(y[0, :, :, 0], rows)
    np.testing.assert_array_equal(y[0, :, :, 1], 10 * np.array(rows))
    np.testing.assert_array_equal(ops.upsample_nearest(x, 1), x)


def test_transposed_convolution_equals_a_convolution_with_input_dilation():
    rng = np.random.default_rng(0)
    x, kernel, dy = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 5, 4), (4, 4, 4, 6), (2, 6, 10, 6)))

    def plain(x, kernel):
        padding = ((2, 2), (2, 2))
        return lax.conv_general_dilated(
            x, kernel, (1, 1), padding, lhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def results(function):
        y, vjp = jax.vjp(function, x, kernel)
        return y, *vjp(dy)

    for actual, expected in zip(results(ops.transposed_convolution), results(plain), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_transposed_convolution_of_one_pixel_equals_numbers_computed_by_hand():
    kernel = np.arange(16.0, dtype=np.float32).reshape(4, 4, 1, 1)
    y = ops.transposed_convolution(np.full((1, 1, 1, 1), 2, np.float32), kernel)
    np.testing.assert_array_equal(y[0, :, :, 0], [[2 * 10, 2 * 9], [2 * 6, 2 * 5]])  # at (2, 2) of 5×5


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_bilinear_enlargement_equals_that_of_jax(factor):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    expected = jax.image.resize(x, (2, 3 * factor, 5 * factor, 4), "bilinear")
    np.testing.assert_allclose(ops.upsample_bilinear(jnp.asarray(x), factor), expected, atol=1e-6)
