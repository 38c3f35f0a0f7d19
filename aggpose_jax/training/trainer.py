"""The training step: combines a task, an optimizer and a device mesh."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from aggpose_jax.networks import barriers
from aggpose_jax.runtime import sharding
from aggpose_jax.training.finite import are_finite, guarded_quantities
from aggpose_jax.training.frozen_statistics import frozen_statistics
from aggpose_jax.training.optimizer import make_optimizer, make_schedule, paths_matching, update_ema
from aggpose_jax.training.train_state import TrainState

if TYPE_CHECKING:
    import ml_collections

# (state, batch) → the next state, the metrics, and whether each guarded quantity is finite.
Step = Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, dict[str, jax.Array], jax.Array]]


class Trainer:
    """The compiled training step of a task, with its optimizer, schedule and shardings.

    Args:
      task: task that is trained, a `task.Task`.
      config: configuration of the experiment.
      mesh: device mesh of `sharding.make_mesh`.
    """

    def __init__(self, task: Any, config: "ml_collections.ConfigDict", mesh: Mesh):
        self.task, self.config, self.mesh = task, config, mesh
        self.total_steps = config.steps or round(config.epochs * task.steps_per_epoch)
        self.schedule = make_schedule(config, task.steps_per_epoch, self.total_steps)
        self._key = jax.random.key(config.seed)
        self._optimizer = make_optimizer(config, jax.eval_shape(task.init, self._key)["params"], self.schedule)
        self.shapes = jax.eval_shape(self._new_state)
        self._frozen = paths_matching(self.shapes.params, config.freeze)
        self.shardings = sharding.tree_shardings(self.shapes, mesh)
        self._jitted_step = barriers.jit(
            self._step,
            in_shardings=(self.shardings, sharding.batch_sharding(mesh)),
            out_shardings=(self.shardings, sharding.replicated(mesh), sharding.replicated(mesh)),
            donate_argnums=0,
        )
        self.step: Step = self._jitted_step

    def compile(self, state: TrainState, batch: dict[str, jax.Array]) -> jax.stages.Compiled:
        """Compiles the step for batches of this shape, uses the result for all further steps and returns it."""
        program = self._jitted_step.lower(state, batch).compile()
        self.step = program
        return program

    @property
    def guarded_names(self) -> list[str]:
        """The names of the quantities that a step checks for NaN and infinity, in the order of its output."""
        params, statistics = self.shapes.params, self.shapes.variables.get("batch_stats", {})
        return list(guarded_quantities(None, statistics, params, params, self._frozen))

    def new_state(self, variables: dict[str, Any] | None = None) -> TrainState:
        """Returns the state before the first step, with the given variables, or with new ones if they are None."""
        # It runs once, so that optimising it would cost several times the run time that it saves.
        options = {"xla_backend_optimization_level": 0}
        return jax.jit(self._new_state, out_shardings=self.shardings, compiler_options=options)(variables)

    def abstract(self) -> TrainState:
        """Returns a state of ShapeDtypeStruct: the shapes, dtypes and shardings of the training state."""
        return jax.tree.map(
            lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), self.shapes, self.shardings
        )

    def _new_state(self, variables=None) -> TrainState:
        variables = self.task.init(self._key) if variables is None else variables
        ema = variables if self.config.average_decay else None
        return TrainState(jnp.zeros((), jnp.int32), variables, self._optimizer.init(variables["params"]), ema)

    def _step(self, state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict, jax.Array]:
        rng = jax.random.fold_in(self._key, state.step)
        # Variables and gradients are replicated while the network is computed, even if they are sharded between steps.
        # Without these constraints the compiler splits matrix products by channel and communicates activations.
        replicated = sharding.replicated(self.mesh)
        variables = jax.lax.with_sharding_constraint(state.variables, replicated)
        (loss, (metrics, collections)), gradient = self._loss_and_gradient(variables, batch, rng)
        gradient, collections = jax.lax.with_sharding_constraint((gradient, collections), replicated)
        gradient = jax.lax.with_sharding_constraint(gradient, self.shardings.params)
        updates, opt_state = self._optimizer.update(gradient, state.opt_state, state.params)
        variables = {"params": optax.apply_updates(state.params, updates), **collections}
        ema = state.ema
        if ema is not None:
            ema = update_ema(ema, variables, self.config.average_decay, state.step)
        new = TrainState(state.step + 1, variables, opt_state, ema)
        finite = are_finite(
            guarded_quantities(loss, collections.get("batch_stats", {}), gradient, new.params, self._frozen)
        )
        if self.config.nonfinite == "skip":
            unchanged = dataclasses.replace(state, step=new.step)
            new = jax.tree.map(lambda updated, old: jnp.where(finite.all(), updated, old), new, unchanged)
        return new, metrics, finite

    def _loss_and_gradient(
        self, variables: dict[str, Any], batch: dict[str, jax.Array], rng: jax.Array
    ) -> tuple[tuple[jax.Array, tuple[dict, dict]], Any]:
        """Returns the mean loss of a batch with (metrics, new collections), and its gradient.

        The batch is computed in `accumulate` parts. Each part starts from the collections updated by the previous part.
        """
        collections = {name: tree for name, tree in variables.items() if name != "params"}
        count = self.config.accumulate

        @functools.partial(jax.value_and_grad, has_aux=True)
        def compute(params, collections, batch, rng):
            with frozen_statistics(self.config.freeze):
                return self.task.loss({"params": params, **collections}, batch, rng)

        if count == 1:
            return compute(variables["params"], collections, batch, rng)

        def add(carry, part):
            (number, examples), (total, collections) = part, carry
            rng_of_part = jax.random.fold_in(rng, number)
            (loss, (metrics, collections)), gradient = compute(variables["params"], collections, examples, rng_of_part)
            return (jax.tree.map(jnp.add, total, (loss, metrics, gradient)), collections), None

        # Every device holds an equal number of examples of each part, so that no example is moved between devices.
        parts = jax.tree.map(lambda a: a.reshape(-1, count, *a.shape[1:]).swapaxes(0, 1), batch)
        first = jax.tree.map(lambda a: a[0], parts)
        (loss, (metrics, _)), gradient = jax.eval_shape(compute, variables["params"], collections, first, rng)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), (loss, metrics, gradient))
        (total, collections), _ = jax.lax.scan(add, (zeros, collections), (jnp.arange(count), parts))
        loss, metrics, gradient = jax.tree.map(lambda a: a / count, total)
        return (loss, (metrics, collections)), gradient
