"""Training steps of a linear regression, compared with values computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aggpose_jax.config import default_config
from aggpose_jax.networks.batch_norm import BatchNorm
from aggpose_jax.runtime import sharding
from aggpose_jax.training.trainer import Trainer

X = np.array([[1, 2], [-3, 4], [0, 5], [2, -2], [1, 1], [6, 0], [-1, -1], [3, 2]], np.float32)
Y = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)


class Regression:
    """y = x · w; the loss is half the mean squared error; the metric `chance` is drawn from the key of the loss."""

    steps_per_epoch = 1.0

    def init(self, rng):
        return {"params": {"w": jnp.array([1.0, -1.0])}}

    def loss(self, variables, batch, rng):
        loss = 0.5 * jnp.mean(jnp.square(batch["x"] @ variables["params"]["w"] - batch["y"]))
        return loss, ({"loss": loss, "chance": jax.random.uniform(rng)}, {})


class Normalised(Regression):
    """Subtracts the batch mean from x, and has its running mean as batch statistics."""

    def init(self, rng):
        return {**super().init(rng), "batch_stats": {"norm": {"mean": jnp.zeros(2)}}}

    def loss(self, variables, batch, rng):
        mean = batch["x"].mean(0)
        loss, (metrics, _) = super().loss(variables, batch | {"x": batch["x"] - mean}, rng)
        old = variables["batch_stats"]["norm"]["mean"]
        return loss, (metrics, {"batch_stats": {"norm": {"mean": 0.9 * old + 0.1 * mean}}})


def make_trainer(task=None, **changes) -> Trainer:
    config = default_config()
    config.steps, config.learning_rate, config.decay_epochs = 10, 0.5, (1.0,)
    config.weight_decay, config.adam_epsilon = 0.0, 2.0  # so large that the step depends on the size of the gradient
    config.update(changes)
    return Trainer(task or Regression(), config, sharding.make_mesh())


def steps(trainer: Trainer, count: int, x=X, y=Y):
    state = trainer.new_state()
    for _ in range(count):
        state, metrics, _ = trainer.step(state, {"x": jnp.array(x), "y": jnp.array(y)})
    return state, metrics


def error_and_gradient(w):
    error = X @ w - Y
    return 0.5 * (error**2).mean(), (error[:, None] * X).mean(0)


@pytest.mark.parametrize("accumulate", [1, 2, 4, 8])
def test_the_first_step_equals_hand_computed_values_with_any_accumulation(accumulate):
    state, metrics = steps(make_trainer(accumulate=accumulate), 1)
    loss, gradient = error_and_gradient(np.array([1.0, -1.0]))
    assert float(metrics["loss"]) == pytest.approx(loss, rel=1e-6)
    expected = [1.0, -1.0] - 0.5 * gradient / (np.abs(gradient) + 2.0)  # the first step of Adam
    np.testing.assert_allclose(state.variables["params"]["w"], expected, rtol=1e-5)


def test_accumulated_parts_are_one_step_of_schedule_optimizer_and_average():
    options = {"average_decay": 0.5}
    single, _ = steps(make_trainer(**options), 3)  # the learning rate decreases after the first step
    parts, _ = steps(make_trainer(**options, accumulate=4), 3)
    assert jax.tree.structure(parts) == jax.tree.structure(single)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), parts, single)
    assert int(parts.step) == 3


def test_every_part_has_its_own_random_key():
    def chance(count):
        return float(steps(make_trainer(accumulate=count), 1)[1]["chance"])

    # If all parts had the same key, the mean over two, four and eight of them would be the same number.
    assert len({chance(count) for count in (2, 4, 8)}) == 3


def running_mean(state) -> np.ndarray:
    return np.asarray(state.variables["batch_stats"]["norm"]["mean"])


def test_batch_statistics_are_updated_but_not_optimised():
    trainer = make_trainer(Normalised())
    state, _ = steps(trainer, 2)
    np.testing.assert_allclose(running_mean(state), (0.09 + 0.1) * X.mean(0), rtol=1e-5)
    assert jax.tree.structure(state) == jax.tree.structure(trainer.shapes)
    optimized = jax.tree.leaves(state.opt_state)
    assert len(optimized) == len(jax.tree.leaves(make_trainer().shapes.opt_state))


def test_parts_update_the_batch_statistics_one_after_another():
    state, metrics = steps(make_trainer(Normalised(), accumulate=2), 1)
    first, second = X[::2], X[1::2]
    np.testing.assert_allclose(running_mean(state), 0.09 * first.mean(0) + 0.1 * second.mean(0), rtol=1e-5)
    errors = np.concatenate([x - x.mean(0) for x in (first, second)]) @ [1.0, -1.0] - np.concatenate([Y[::2], Y[1::2]])
    assert float(metrics["loss"]) == pytest.approx(0.5 * (errors**2).mean(), rel=1e-5)


def test_the_moving_average_includes_batch_statistics():
    state, _ = steps(make_trainer(Normalised(), average_decay=0.5), 1)
    mean = np.asarray(state.ema["batch_stats"]["norm"]["mean"])
    np.testing.assert_allclose(mean, 0.9 * 0.1 * X.mean(0), rtol=1e-5)  # the decay of the first step is 1/10
    assert state.eval_variables is state.ema


def test_a_skipped_step_does_not_change_batch_statistics():
    trainer = make_trainer(Normalised(), nonfinite="skip", average_decay=0.5)
    before = jax.tree.map(np.asarray, trainer.new_state())
    bad = X.copy()
    bad[0, 1] = np.inf
    state, _ = steps(trainer, 1, bad)
    assert int(state.step) == 1
    for after, expected in ((state.variables, before.variables), (state.ema, before.ema)):
        jax.tree.map(np.testing.assert_array_equal, after, expected)


def test_non_finite_batch_statistics_are_named_after_the_loss():
    trainer = make_trainer(Normalised())
    assert trainer.guarded_names[:2] == ["the loss", "the batch statistics norm/mean"]
    state = trainer.new_state()
    broken = {**state.variables, "batch_stats": {"norm": {"mean": jnp.array([0.0, np.nan])}}}
    _, _, finite = trainer.step(trainer.new_state(broken), {"x": jnp.array(X), "y": jnp.array(Y)})
    assert [name for name, is_finite in zip(trainer.guarded_names, finite, strict=True) if not is_finite] == [
        "the batch statistics norm/mean"
    ]


class NormalisedByModule(Regression):
    """The regression with a `BatchNorm` on x."""

    def init(self, rng):
        variables = BatchNorm().init(rng, jnp.zeros((1, 1, 1, 2)), True)
        return {
            "params": {**super().init(rng)["params"], "norm": variables["params"]},
            "batch_stats": variables["batch_stats"],
        }

    def loss(self, variables, batch, rng):
        class Network(nn.Module):
            @nn.compact
            def __call__(self, x):
                return BatchNorm(name="norm")(x[:, None, None], False)[:, 0, 0]

        inner = {"params": {"norm": variables["params"]["norm"]}, "batch_stats": {"norm": variables["batch_stats"]}}
        x, new = Network().apply(inner, batch["x"], mutable=["batch_stats"])
        loss, (metrics, _) = super().loss(variables, batch | {"x": x}, rng)
        return loss, (metrics, {"batch_stats": new["batch_stats"]["norm"]})


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_frozen_norm_is_unchanged_while_other_parameters_are_trained(accumulate):
    def change(freeze):
        trainer = make_trainer(NormalisedByModule(), freeze=freeze, accumulate=accumulate)
        before = jax.tree.map(np.asarray, trainer.new_state().variables)
        state, metrics = steps(trainer, 1)
        return jax.tree.map(lambda a, b: float(np.abs(a - b).max()), state.variables, before), float(metrics["loss"])

    frozen, loss = change(("norm/.*",))
    assert frozen["batch_stats"] == {"mean": 0, "var": 0}
    assert frozen["params"]["norm"] == {"scale": 0, "bias": 0}
    assert frozen["params"]["w"] > 0
    assert loss == pytest.approx(
        error_and_gradient(np.array([1.0, -1.0]))[0], rel=1e-4
    )  # with statistics 0 and 1 the norm is the identity
    trained, _ = change(())
    assert min(jax.tree.leaves(trained)) > 0
