"""Runs aggpose_jax.main with plain gradient descent, which does not amplify rounding errors as Adam does.

Where a gradient is 0 except for rounding errors, Adam still takes steps of full size.
"""

import runpy

import optax

from aggpose_jax.training import trainer

trainer.make_optimizer = lambda config, params, schedule: optax.sgd(schedule)
runpy.run_module("aggpose_jax.main", run_name="__main__")
