"""What a program on CPU computes once."""

import jax
import jax.numpy as jnp

from aggpose_jax.networks import barriers


def uses(materialise):
    """Returns a function of three uses of a sine, and its argument."""

    def function(x):
        y = materialise(jnp.sin(x))
        return y @ y, jnp.cos(y), y.sum(0)

    return function, jnp.ones((64, 64))


def sines(jitted, x) -> int:
    return jitted.lower(x).compile().as_text().count(" sine(")


def test_a_materialised_array_is_computed_once():
    function, x = uses(barriers.materialise)
    assert sines(barriers.jit(function), x) == 1
    expected = jax.jit(function)(x)
    for actual, wanted in zip(barriers.jit(function)(x), expected, strict=True):
        assert jnp.allclose(actual, wanted, rtol=1e-6)


def test_the_program_still_contains_its_barriers():
    function, x = uses(barriers.materialise)
    assert "opt-barrier" in barriers.jit(function).lower(x).compile().as_text()
    assert "opt-barrier" not in jax.jit(function).lower(x).compile().as_text()


def test_other_platforms_have_no_barrier():
    function, x = uses(barriers.materialise)
    for platform, count in (("cpu", 1), ("cuda", 0), ("tpu", 0)):
        lowered = jax.jit(function).trace(x).lower(lowering_platforms=(platform,))
        assert lowered.as_text().count("optimization_barrier") == count
