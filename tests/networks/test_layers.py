"""Linear layers and LayerNorm against those of Flax, whose gradients JAX derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aggpose_jax.networks import layers

RNG = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def results(module: nn.Module, variables, x, dy):
    """Returns the output of a module and the gradients of its parameters and its input."""
    y, vjp = jax.vjp(lambda v, x: module.apply(v, x), variables, x)
    return y, *vjp(dy)


def assert_equal(module: nn.Module, expected: nn.Module, x, dy, tolerance: float) -> None:
    """Compares a module with one of Flax, on the same random parameters."""
    variables = jax.tree.map(lambda a: random(*a.shape), expected.init(jax.random.key(0), x))
    assert jax.tree.map(jnp.shape, module.init(jax.random.key(0), x)) == jax.tree.map(jnp.shape, variables)
    actual, wanted = (results(one, variables, x, dy) for one in (module, expected))
    for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
        other = dict(jax.tree_util.tree_leaves_with_path(actual))[path]
        assert other.dtype == leaf.dtype
        np.testing.assert_allclose(*(np.asarray(a, np.float32) for a in (other, leaf)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "features"),
    [((2, 3, 5), 7), ((90, 5), 3), ((6, 5), 3)],  # a wider result, a narrower one with many rows, and with few
)
def test_a_linear_layer_equals_that_of_flax(shape, features):
    module = layers.Linear(features, jnp.float32, nn.initializers.ones)
    assert_equal(module, nn.Dense(features), random(*shape), random(*shape[:-1], features), 1e-5)


def test_a_linear_layer_in_bfloat16_keeps_parameters_and_their_gradients_in_float32():
    module = layers.Linear(4, jnp.bfloat16, nn.initializers.ones)
    x, dy = random(2, 6, 8), random(2, 6, 4).astype(jnp.bfloat16)
    assert_equal(module, nn.Dense(4, dtype=jnp.bfloat16), x, dy, 0.1)


def test_the_bias_gradient_of_a_linear_layer_is_summed_in_float32():
    x = jnp.zeros((4096, 1), jnp.bfloat16)
    _, vjp = jax.vjp(layers.multiply_add, x, jnp.zeros((1, 1), jnp.bfloat16), jnp.zeros(1, jnp.bfloat16))
    assert float(vjp(jnp.ones((4096, 1), jnp.bfloat16))[2][0]) == 4096


@pytest.mark.parametrize("mean", [0, 30])
def test_a_layer_norm_equals_that_of_flax(mean):
    expected = nn.LayerNorm(epsilon=1e-3, use_fast_variance=False)
    assert_equal(layers.LayerNorm(1e-3, jnp.float32), expected, mean + random(2, 3, 16), random(2, 3, 16), 1e-4)


def test_a_layer_norm_in_bfloat16_computes_in_float32():
    expected = nn.LayerNorm(dtype=jnp.bfloat16, use_fast_variance=False)
    x = (5 + random(3, 64)).astype(jnp.bfloat16)
    assert_equal(layers.LayerNorm(1e-6, jnp.bfloat16), expected, x, random(3, 64).astype(jnp.bfloat16), 0.05)


def test_a_layer_norm_equals_numbers_computed_by_hand():
    y = layers.normalise(jnp.float32([[1, 3], [2, 10]]), jnp.float32([10, 10]), jnp.float32([0, 1]), 0.0)
    np.testing.assert_allclose(y, [[-10, 11], [-10, 11]], rtol=1e-6)
