"""Learning-rate schedules, AdamW with masks by parameter path, layer decay and the moving average."""

import math

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from aggpose_jax.training import optimizer

PARAMS = {
    "stage1_1": {"blocks": {"norm1": {"scale": jnp.full(3, 2.0)}, "kernel": jnp.full((2, 3), 2.0)}},
    "head": {"kernel": jnp.full((3, 4), 2.0), "bias": jnp.full(4, 2.0)},
}
GRADIENT = jax.tree.map(lambda a: jnp.arange(1.0, 1 + a.size).reshape(a.shape), PARAMS)


def config(**changes) -> ml_collections.ConfigDict:
    default = {
        "learning_rate": 0.5,
        "schedule": "step",
        "decay_epochs": (2.0, 3.5),
        "warmup_epochs": 0.0,
        "warmup_share": 0.0,
        "lowest_rate": 0.0,
        "betas": (0.9, 0.999),
        "adam_epsilon": 1e-8,
        "weight_decay": 0.0,
        "decay": (".*",),
        "freeze": (),
        "clip_norm": 0.0,
        "layer_decay": 1.0,
        "model": {"name": "aggpose_tiny"},
    }
    assert changes.keys() <= default.keys()
    return ml_collections.ConfigDict(default | changes)


def rates(count: int, steps_per_epoch: float, **changes) -> list[float]:
    schedule = optimizer.make_schedule(config(**changes), steps_per_epoch, count)
    return [float(schedule(step)) for step in range(count)]


def update(steps: int = 1, gradient=GRADIENT, **changes):
    """Returns the parameters and the optimizer state after a number of steps with one gradient."""
    transformation = optimizer.make_optimizer(config(**changes), PARAMS, lambda step: 0.1)
    params, state = PARAMS, transformation.init(PARAMS)
    for _ in range(steps):
        updates, state = transformation.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def test_paths_are_matched_in_full():
    matched = optimizer.paths_matching(PARAMS, [r"head/.*", r".*/norm1/scale", "kernel", "stage1_1"])
    assert matched == {
        "stage1_1": {"blocks": {"norm1": {"scale": True}, "kernel": False}},
        "head": {"kernel": True, "bias": True},
    }


def test_step_schedule_equals_hand_computed_rates():
    expected = (
        [0.5] * 6 + [0.05] * 4 + [0.005] * 2
    )  # 3 steps per epoch: decay after 6 steps and after 10.5, which rounds to 10
    np.testing.assert_allclose(rates(12, 3), expected, rtol=1e-6)


def test_cosine_schedule_equals_hand_computed_rates():
    expected = [0.5 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    np.testing.assert_allclose(rates(8, 4, schedule="cosine"), expected, rtol=1e-5)


def test_cosine_schedule_ends_at_the_lowest_rate():
    expected = [0.1 + 0.4 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    np.testing.assert_allclose(rates(8, 4, schedule="cosine", lowest_rate=0.1), expected, rtol=1e-5)


def test_warm_up_equals_hand_computed_rates():
    ramp = [0.5 * step / 6 for step in (1, 2, 3, 4, 5, 6)]
    steps = rates(12, 3, warmup_epochs=2.0, decay_epochs=(3.0,))
    np.testing.assert_allclose(steps, ramp + [0.5] * 3 + [0.05] * 3, rtol=1e-6)
    cosine = rates(10, 3, warmup_epochs=2.0, schedule="cosine")
    expected = ramp + [0.5 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    np.testing.assert_allclose(cosine, expected, rtol=1e-5)


def test_a_warm_up_of_one_step_has_the_full_rate():
    np.testing.assert_allclose(rates(3, 1, warmup_epochs=1.0, decay_epochs=()), 0.5, rtol=1e-6)


def test_first_step_of_adamw_equals_a_hand_computed_value():
    params, _ = update(weight_decay=0.2)
    expected = 2.0 - 0.1 * (
        1 + 0.2 * 2.0
    )  # the first step of Adam is the sign of the gradient; weight decay is decoupled
    for leaf in jax.tree.leaves(params):
        np.testing.assert_allclose(leaf, expected, rtol=1e-5)


def test_two_steps_with_betas_and_epsilon_equal_hand_computed_values():
    gradients, first, second, value = [1.0, -3.0], 0.0, 0.0, 2.0
    transformation = optimizer.make_optimizer(config(betas=(0.5, 0.8), adam_epsilon=0.7), {"a": 0.0}, lambda _: 0.1)
    params = {"a": jnp.float32(2.0)}
    state = transformation.init(params)
    for step, g in enumerate(gradients, start=1):
        updates, state = transformation.update({"a": jnp.float32(g)}, state, params)
        params = optax.apply_updates(params, updates)
        first, second = 0.5 * first + 0.5 * g, 0.8 * second + 0.2 * g * g
        value -= 0.1 * (first / (1 - 0.5**step)) / (math.sqrt(second / (1 - 0.8**step)) + 0.7)
        assert float(params["a"]) == pytest.approx(value, rel=1e-5)


def test_only_parameters_that_decay_matches_are_decayed():
    zero = jax.tree.map(jnp.zeros_like, GRADIENT)
    params, _ = update(gradient=zero, weight_decay=0.2, decay=(".*kernel",))
    decayed = optimizer.paths_matching(params, [".*kernel"])
    for leaf, decays in zip(jax.tree.leaves(params), jax.tree.leaves(decayed), strict=True):
        np.testing.assert_allclose(leaf, 2.0 * (1 - 0.1 * 0.2) if decays else 2.0, rtol=1e-6)


def test_frozen_parameters_are_unchanged_and_have_no_state():
    params, state = update(steps=3, weight_decay=0.2, freeze=("stage1_.*",))
    for after, before in zip(*(jax.tree.leaves(tree["stage1_1"]) for tree in (params, PARAMS)), strict=True):
        assert np.asarray(after).tobytes() == np.asarray(before).tobytes()
    trained, _ = update(steps=3, weight_decay=0.2)
    for actual, expected in zip(*(jax.tree.leaves(tree["head"]) for tree in (params, trained)), strict=True):
        np.testing.assert_array_equal(actual, expected)
    sizes = [leaf.size for leaf in jax.tree.leaves(state)]
    assert sum(size for size in sizes if size > 1) == 2 * (3 * 4 + 4)  # the two moments of the head only


def test_the_gradient_is_clipped_by_its_global_norm():
    norm = math.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(GRADIENT)))
    clip = {"clip_norm": norm / 4, "adam_epsilon": 1.0}  # so large that the step depends on the size of the gradient
    quarter = jax.tree.map(lambda g: g / 4, GRADIENT)
    clipped, expected = update(**clip)[0], update(gradient=quarter, adam_epsilon=1.0)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), clipped, expected)
    unclipped = update(clip_norm=2 * norm, adam_epsilon=1.0)[0]
    jax.tree.map(np.testing.assert_array_equal, unclipped, update(adam_epsilon=1.0)[0])


LAYERED = {
    "embed1": {"kernel": jnp.full((3, 4), 2.0)},
    "stage1_1": {"blocks": {"kernel": jnp.full((2, 4, 5), 2.0)}, "norm": {"scale": jnp.full(4, 2.0)}},
    "head": {"bias": jnp.full(4, 2.0)},
}


@pytest.mark.parametrize("freeze", [(), ("head/.*",)])
def test_layer_decay_equals_hand_computed_updates(freeze):
    options = config(layer_decay=0.5, weight_decay=0.2, freeze=freeze)
    transformation = optimizer.make_optimizer(options, LAYERED, lambda step: 0.1)
    gradient = jax.tree.map(lambda a: jnp.full_like(a, 3.0), LAYERED)
    updates, _ = transformation.update(gradient, transformation.init(LAYERED), LAYERED)
    # There are two blocks: the head has the full learning rate, the last block and its norm half of it, and so on. The
    # first step of Adam is the sign of the gradient; weight decay is multiplied by the learning rate.
    step = -0.1 * (1 + 0.2 * 2.0)
    np.testing.assert_allclose(updates["head"]["bias"], 0 if freeze else step, rtol=1e-5)
    np.testing.assert_allclose(updates["stage1_1"]["norm"]["scale"], step / 2, rtol=1e-5)
    np.testing.assert_allclose(updates["stage1_1"]["blocks"]["kernel"][1], step / 2, rtol=1e-5)
    np.testing.assert_allclose(updates["stage1_1"]["blocks"]["kernel"][0], step / 4, rtol=1e-5)
    np.testing.assert_allclose(updates["embed1"]["kernel"], step / 8, rtol=1e-5)


def test_update_ema_equals_hand_computed_values():
    ema, params = {"a": jnp.float32(1.0)}, {"a": jnp.float32(2.0)}
    assert float(optimizer.update_ema(ema, params, 0.9, jnp.int32(0))["a"]) == pytest.approx(1.9)  # decay 1/10
    assert float(optimizer.update_ema(ema, params, 0.9, jnp.int32(8))["a"]) == pytest.approx(1.5)  # 9/18
    assert float(optimizer.update_ema(ema, params, 0.9, jnp.int32(10**6))["a"]) == pytest.approx(1.1)
