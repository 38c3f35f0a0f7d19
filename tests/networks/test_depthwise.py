"""Tests of the forms of the 3×3 depthwise convolution against plain implementations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from aggpose_jax.networks import depthwise

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
        jax.jit(run, static_argnums=0)(depthwise.depthwise_gelu), run(plain_depthwise_gelu), strict=True
    ):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual / scale, expected / scale, atol=tolerance)


def test_gradients_of_depthwise_gelu_equal_finite_differences():
    x, kernel, bias, _ = inputs(shape=(1, 3, 4, 2))
    check_grads(depthwise.depthwise_gelu, (x, kernel, bias), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


def test_depthwise_gelu_equals_numbers_computed_by_hand():
    kernel = np.zeros((3, 3, 1), np.float32)
    kernel[0, 1], kernel[1, 2] = 10, 1  # ten times the upper neighbour plus the right one
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3, 1) * 10
    y = depthwise.depthwise_gelu(x, kernel, np.float32([0]))
    # For such large inputs, GELU is the identity.
    np.testing.assert_allclose(y[0, :, :, 0], [[20, 30, 0], [150, 260, 300]])
    y = depthwise.depthwise_gelu(0 * x, kernel, np.float32([1]))
    np.testing.assert_allclose(y, 0.8413447, rtol=1e-6)  # 1 · Φ(1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_forms_for_different_platforms_are_equal(dtype):
    x, kernel, _, dz = (a.astype(dtype) for a in inputs())
    tolerance = 1e-5 if dtype == jnp.float32 else 0.1
    forms = [
        (depthwise._depthwise_shifts(x, kernel), depthwise._depthwise_convolution(x, kernel)),
        (depthwise._kernel_gradient_by_rows(x, dz), depthwise._kernel_gradient_convolution(x, dz)),
        (depthwise._kernel_gradient_reduction(x, dz), depthwise._kernel_gradient_convolution(x, dz)),
    ]
    for cpu, default in forms:
        assert cpu.dtype == default.dtype
        np.testing.assert_allclose(cpu.astype(np.float32), default.astype(np.float32), rtol=tolerance, atol=tolerance)


def test_each_platform_lowers_the_form_chosen_for_it():
    arguments = inputs()[:3]

    def loss(x, kernel, bias):
        return depthwise.depthwise_gelu(x, kernel, bias).sum()

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
    _, vjp = jax.vjp(depthwise.depthwise_gelu, x, kernel, bias)
    _, dkernel, dbias = vjp(jnp.ones_like(x))
    assert float(dbias[0]) == 4 * 32 * 32
    np.testing.assert_array_equal(dkernel[1, 1].astype(np.float32), 4 * 32 * 32)
    np.testing.assert_array_equal(dkernel[0, 1].astype(np.float32), 4 * 31 * 32)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolution_with_stride_equals_that_of_jax(stride):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 6, 8, 4)), rng.standard_normal((3, 3, 4))
    expected = jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=4,
    )  # fmt: skip
    np.testing.assert_allclose(depthwise.convolve(jnp.asarray(x), jnp.asarray(kernel), stride), expected, atol=1e-5)
