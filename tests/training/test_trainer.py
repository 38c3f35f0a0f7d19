"""Steps of a linear regression, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.config import default_config
from aggpose_jax.runtime import sharding
from aggpose_jax.training.trainer import Trainer

X = np.array([[1, 2], [-3, 4], [0, 5], [2, -2], [1, 1], [6, 0], [-1, -1], [3, 2]], np.float32)
Y = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)


class Regression:
    """y = x · w; the loss is half the mean squared error, `chance` is the random number that a loss is given."""

    steps_per_epoch = 1.0

    def init(self, rng):
        return {"params": {"w": jnp.array([1.0, -1.0])}}

    def loss(self, variables, batch, rng):
        loss = 0.5 * jnp.mean(jnp.square(batch["x"] @ variables["params"]["w"] - batch["y"]))
        return loss, ({"loss": loss, "chance": jax.random.uniform(rng)}, {})


def make_trainer(**changes) -> Trainer:
    config = default_config()
    config.steps, config.learning_rate, config.decay_epochs = 10, 0.5, (1.0,)
    config.weight_decay, config.adam_epsilon = 0.0, 2.0  # so large that the size of a gradient shows
    config.update(changes)
    return Trainer(Regression(), config, sharding.make_mesh(-1, 1))


def steps(trainer: Trainer, count: int, x=X, y=Y):
    state = trainer.new_state()
    for _ in range(count):
        state, metrics, _ = trainer.step(state, {"x": jnp.array(x), "y": jnp.array(y)})
    return state, metrics


def error_and_gradient(w):
    error = X @ w - Y
    return 0.5 * (error**2).mean(), (error[:, None] * X).mean(0)


@pytest.mark.parametrize("accumulate", [1, 2, 4, 8])
def test_the_first_step_by_hand_in_any_number_of_parts(accumulate):
    state, metrics = steps(make_trainer(accumulate=accumulate), 1)
    loss, gradient = error_and_gradient(np.array([1.0, -1.0]))
    assert float(metrics["loss"]) == pytest.approx(loss, rel=1e-6)
    expected = [1.0, -1.0] - 0.5 * gradient / (np.abs(gradient) + 2.0)  # the first step of Adam
    np.testing.assert_allclose(state.params["w"], expected, rtol=1e-5)


def test_parts_are_one_step_of_the_schedule_the_optimizer_and_the_average():
    options = {"average_decay": 0.5}
    whole, _ = steps(make_trainer(**options), 3)  # the rate falls after the first step
    parts, _ = steps(make_trainer(**options, accumulate=4), 3)
    assert jax.tree.structure(parts) == jax.tree.structure(whole)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), parts, whole)
    assert int(parts.step) == 3


def test_every_part_has_its_own_chance():
    def chance(count):
        return float(steps(make_trainer(accumulate=count), 1)[1]["chance"])

    # Were the parts given one key, the mean over one, two and four of them would be the same number.
    assert len({chance(count) for count in (2, 4, 8)}) == 3
