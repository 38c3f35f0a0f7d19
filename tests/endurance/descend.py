"""aggpose_jax.main with plain gradient descent: unlike Adam it makes no steps of rounding where a gradient is 0."""

import runpy

import optax

from aggpose_jax.training import trainer

trainer.make_optimizer = lambda config, params, schedule: optax.sgd(schedule)
runpy.run_module("aggpose_jax.main", run_name="__main__")
