"""A task of two parameters, of which every step and score is known, and a function that trains it."""

import itertools
import pathlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.config import default_config
from aggpose_jax.training import loop

APS = {2: 0.1, 4: 0.5, 6: 0.5, 8: 0.4, 10: 0.9, 12: 0.2}  # by step; an equal score is not an improvement


class Clock:
    """The parameter `clock` decreases by the learning rate, 1, in each step; x is 1 except in the steps of `x`."""

    metric, lower_is_better, summary = "AP", False, ("AP",)
    train_source = eval_source = ()
    steps_per_epoch = 2.0

    def __init__(self, x: dict[int, float] | None = None, killed_at: int = 0):
        self._x, self._killed_at = x or {}, killed_at

    def init(self, rng):
        return {"params": {"clock": jnp.zeros(3), "head": {"w": jnp.ones(())}}}

    def loss(self, variables, batch, rng):
        params = variables["params"]
        chance = jax.random.uniform(rng) * jnp.mean(params["clock"])
        loss = params["clock"].sum() + jnp.sqrt(jnp.mean(batch["x"]) * (2 + jnp.cos(params["head"]["w"]))) + 0 * chance
        return loss, ({"loss": loss}, {})

    def train_batches(self, start):
        for step in itertools.count(start + 1):
            if step == self._killed_at:
                raise KeyboardInterrupt
            yield {"x": np.full(4, self._x.get(step, 1.0), np.float32), "id": np.arange(4), "valid": np.ones(4)}

    def evaluate(self, variables, mesh, before_batch):
        before_batch()
        return SimpleNamespace(metrics={"AP": APS.get(-round(float(variables["params"]["clock"][0])), 0.0)})

    def describe(self):
        return "a clock"

    def batch_pictures(self, batch):
        return {}

    def evaluation_pictures(self, variables, mesh, result):
        return {}


class Normalised(Clock):
    """A `Clock` with batch statistics: a running mean of x."""

    def init(self, rng):
        return {**super().init(rng), "batch_stats": {"mean": jnp.zeros(())}}

    def loss(self, variables, batch, rng):
        loss, (metrics, _) = super().loss(variables, batch, rng)
        mean = 0.9 * variables["batch_stats"]["mean"] + 0.1 * batch["x"].mean()
        return loss, (metrics, {"batch_stats": {"mean": mean}})


def train_in(folder: pathlib.Path, monkeypatch):
    """Returns a function that trains a task in the folder `name` within a folder, and returns that folder."""

    def run(task: Clock, name: str = "run", **changes):
        config = default_config()
        config.update({"batch_size": 4, "steps": 12, "learning_rate": 1.0, "weight_decay": 0.0, "eval_epochs": 1.0})
        config.update({"decay_epochs": (), "log_steps": 1, "checkpoint_steps": 1} | changes)
        monkeypatch.setattr(loop, "make_task", lambda config: task)
        loop.train(config, folder / name)
        return folder / name

    return run
