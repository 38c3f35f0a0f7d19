"""What makes one training state from the one before: a task, an optimizer and a mesh."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jax.sharding import Mesh

from aggpose_jax.runtime import sharding
from aggpose_jax.training.optimizer import make_optimizer, make_schedule, paths_matching, update_average
from aggpose_jax.training.reliability.nonfinite import are_finite, guarded_quantities


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("step", "params", "optimizer", "average"), meta_fields=()
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that changes from step to step.

    Attributes:
      step: number of steps taken, int32.
      params: of the network.
      optimizer: state of the optimizer.
      average: moving average of `params`, or None.
    """

    step: jax.Array
    params: Any
    optimizer: Any
    average: Any

    @property
    def evaluated(self) -> Any:
        """The parameters to use the network by."""
        return self.params if self.average is None else self.average


class Trainer:
    """A task, an optimizer and a mesh: what makes one state from the one before."""

    def __init__(self, task: Any, config: ml_collections.ConfigDict, mesh: Mesh):
        self.task, self.config, self.mesh = task, config, mesh
        self.total_steps = config.steps or round(config.epochs * task.steps_per_epoch)
        self.schedule = make_schedule(config, task.steps_per_epoch, self.total_steps)
        self._key = jax.random.key(config.seed)
        self._optimizer = make_optimizer(config, jax.eval_shape(task.init, self._key), self.schedule)
        self.shapes = jax.eval_shape(self._new_state)
        self._frozen = paths_matching(self.shapes.params, config.freeze)
        self.shardings = sharding.tree_shardings(self.shapes, mesh)
        self.step = jax.jit(
            self._step,
            in_shardings=(self.shardings, sharding.batch_sharding(mesh)),
            out_shardings=(self.shardings, sharding.replicated(mesh), sharding.replicated(mesh)),
            donate_argnums=0,
        )

    def compile(self, state: TrainState, batch: dict[str, jax.Array]) -> jax.stages.Compiled:
        """Compiles the step for such batches, and takes it from now on; it is compiled once."""
        program = self.step.lower(state, batch).compile()
        self.step = program
        return program

    @property
    def watched(self) -> list[str]:
        """Names of what a step says to be finite or not."""
        return list(guarded_quantities(None, self.shapes.params, self.shapes.params, self._frozen))

    def new_state(self, params: Any = None) -> TrainState:
        """The state before the first step, with new parameters or the given ones."""
        # It runs once: what the compiler would save in running, it would spend several times over in compiling.
        quickly = {"xla_backend_optimization_level": 0}
        return jax.jit(self._new_state, out_shardings=self.shardings, compiler_options=quickly)(params)

    def abstract(self) -> TrainState:
        """Shapes, types and shardings of a state."""
        return jax.tree.map(
            lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), self.shapes, self.shardings
        )

    def _new_state(self, params=None) -> TrainState:
        params = self.task.init(self._key) if params is None else params
        average = params if self.config.average_decay else None
        return TrainState(jnp.zeros((), jnp.int32), params, self._optimizer.init(params), average)

    def _step(self, state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict, jax.Array]:
        rng = jax.random.fold_in(self._key, state.step)
        # Whole parameters and whole gradients around the network, whatever is split between steps: left to choose, the
        # compiler splits products by channel and sends activations about.
        whole = sharding.replicated(self.mesh)
        params = jax.lax.with_sharding_constraint(state.params, whole)
        (loss, metrics), gradient = self._loss_and_gradient(params, batch, rng)
        gradient = jax.lax.with_sharding_constraint(gradient, whole)
        gradient = jax.lax.with_sharding_constraint(gradient, self.shardings.params)
        updates, optimizer = self._optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            average = update_average(average, params, self.config.average_decay, state.step)
        finite = are_finite(guarded_quantities(loss, gradient, params, self._frozen))
        new = TrainState(state.step + 1, params, optimizer, average)
        if self.config.nonfinite == "skip":
            kept = dataclasses.replace(state, step=new.step)
            new = jax.tree.map(lambda ours, old: jnp.where(finite.all(), ours, old), new, kept)
        return new, metrics, finite

    def _loss_and_gradient(self, params: Any, batch: dict[str, jax.Array], rng: jax.Array) -> tuple[tuple, Any]:
        """The mean loss of a batch with its metrics, and its gradient, computed in `accumulate` parts."""
        compute, count = jax.value_and_grad(self.task.loss, has_aux=True), self.config.accumulate
        if count == 1:
            return compute(params, batch, rng)
        # Every device has some examples of each part, so none moves.
        parts = jax.tree.map(lambda a: a.reshape(-1, count, *a.shape[1:]).swapaxes(0, 1), batch)

        def add(total, part):
            number, examples = part
            return jax.tree.map(jnp.add, total, compute(params, examples, jax.random.fold_in(rng, number))), None

        shapes = jax.eval_shape(compute, params, jax.tree.map(lambda a: a[0], parts), rng)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        total, _ = jax.lax.scan(add, zeros, (jnp.arange(count), parts))
        return jax.tree.map(lambda a: a / count, total)
