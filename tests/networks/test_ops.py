"""Tests of operations with platform-specific forms against plain implementations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from aggpose_jax.networks import ops

SHAPE = (2, 5, 7, 6)


def plain_depthwise_gelu(x, kernel, bias):
    convolved = lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        (1, 1),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )
    return jax.nn.gelu(convolved + bias, approximate=False)


def inputs(mean: float = 0.0, shape=SHAPE) -> tuple[np.ndarray, ...]:
    """Returns x, kernel, bias, and the gradient with respect to the output."""
    rng = np.random.default_rng(0)
    shapes = (shape, (3, 3, shape[-1]), shape[-1:], shape)
    x, kernel, bias, dy = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    # The sum over kernel positions is made zero, so that outputs stay small for a large mean.
    return x + np.float32(mean), kernel - kernel.mean((0, 1)), bias, dy


@pytest.mark.parametrize(("mean", "tolerance"), [(0.0, 1e-5), (1e3, 1e-3)])
def test_depthwise_gelu_and_its_gradients_equal_a_plain_implementation(mean, tolerance):
    x, kernel, bias, dy = inputs(mean)

    def run(function):
        y, vjp = jax.vjp(function, x, kernel, bias)
        return y, *vjp(dy)

    for actual, expected in zip(
        jax.jit(run, static_argnums=0)(ops.depthwise_gelu), run(plain_depthwise_gelu), strict=True
    ):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual / scale, expected / scale, atol=tolerance)


def test_gradients_of_depthwise_gelu_equal_finite_differences():
    x, kernel, bias, _ = inputs(shape=(1, 3, 4, 2))
    check_grads(ops.depthwise_gelu, (x, kernel, bias), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_depthwise_gelu_equals_numbers_computed_by_hand():
    kernel = np.zeros((3, 3, 1), np.float32)
    kernel[0, 1], kernel[1, 2] = 10, 1  # ten times the upper neighbour plus the right one
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3, 1) * 10
    y = ops.depthwise_gelu(x, kernel, np.float32([0]))
    # For such large inputs, GELU is the identity.
    np.testing.assert_allclose(y[0, :, :, 0], [[20, 30, 0], [150, 260, 300]])
    y = ops.depthwise_gelu(0 * x, kernel, np.float32([1]))
    np.testing.assert_allclose(y, 0.8413447, rtol=1e-6)  # 1 · Φ(1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_forms_for_different_platforms_are_equal(dtype):
    x, kernel, _, dz = (a.astype(dtype) for a in inputs())
    tolerance = 1e-5 if dtype == jnp.float32 else 0.1
    forms = [
        (ops._depthwise_shifts(x, kernel), ops._depthwise_convolution(x, kernel)),
        (ops._kernel_gradient_reduction(x, dz), ops._kernel_gradient_convolution(x, dz)),
    ]
    for cpu, default in forms:
        assert cpu.dtype == default.dtype
        np.testing.assert_allclose(cpu.astype(np.float32), default.astype(np.float32), rtol=tolerance, atol=tolerance)


def test_each_platform_lowers_the_form_chosen_for_it():
    arguments = inputs()[:3]

    def loss(x, kernel, bias):
        return ops.depthwise_gelu(x, kernel, bias).sum()

    def convolutions(function, platform):
        lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
        return lowered.as_text().count("stablehlo.convolution")

    gradient = jax.grad(loss, argnums=(0, 1, 2))
    for platform in ("cuda", "tpu"):
        assert convolutions(loss, platform) == 1
        assert convolutions(gradient, platform) == 3
    assert convolutions(loss, "cpu") == convolutions(gradient, "cpu") == 0


def test_gradients_in_bfloat16_are_summed_in_float32():
    x = jnp.ones((4, 32, 32, 1), jnp.bfloat16)
    kernel, bias = jnp.zeros((3, 3, 1), jnp.bfloat16), jnp.full(1, 10, jnp.bfloat16)  # GELU has slope 1 at 10.
    _, vjp = jax.vjp(ops.depthwise_gelu, x, kernel, bias)
    _, dkernel, dbias = vjp(jnp.ones_like(x))
    assert float(dbias[0]) == 4 * 32 * 32
    np.testing.assert_array_equal(dkernel[1, 1].astype(np.float32), 4 * 32 * 32)
    np.testing.assert_array_equal(dkernel[0, 1].astype(np.float32), 4 * 31 * 32)


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


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolution_with_stride_equals_that_of_jax(stride):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 6, 8, 4)), rng.standard_normal((3, 3, 4))
    expected = jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=4,
    )  # fmt: skip
    np.testing.assert_allclose(ops.depthwise(jnp.asarray(x), jnp.asarray(kernel), stride), expected, atol=1e-5)
