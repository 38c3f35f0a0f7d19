"""The training loop: batches → a trained network, whatever the task."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.models.transplant import describe
from aggpose_jax.training import checkpoint, sharding
from aggpose_jax.training.config import save_config
from aggpose_jax.training.initialise import initial_params
from aggpose_jax.training.optimizer import make_optimizer, make_schedule, paths_matching, update_average
from aggpose_jax.training.reporting import Progress, Reporter, parameter_table
from aggpose_jax.training.tasks import make_task


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
        self.shardings = sharding.tree_shardings(self.shapes, mesh)
        self.step = jax.jit(
            self._step,
            in_shardings=(self.shardings, sharding.batch_sharding(mesh)),
            out_shardings=(self.shardings, sharding.replicated(mesh)),
            donate_argnums=0,
        )

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

    def _step(self, state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        rng = jax.random.fold_in(self._key, state.step)
        gradient, metrics = jax.grad(self.task.loss, has_aux=True)(state.params, batch, rng)
        updates, optimizer = self._optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if average is not None:
            average = update_average(average, params, self.config.average_decay, state.step)
        return TrainState(state.step + 1, params, optimizer, average), metrics


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> dict[str, Evaluation]:
    """Trains what `config` says, from the latest checkpoint in `workdir` if it holds one.

    Returns:
      The evaluation of the last parameters as "network", and those of the baselines where the config asks for them.

    Raises:
      UserError: for a configuration, data or workdir that cannot be used.
    """
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
    if config.batch_size % mesh.size:
        raise UserError(f"batch_size: {config.batch_size} does not divide by the {mesh.size} devices")
    task = make_task(config)
    trainer = Trainer(task, config, mesh)
    workdir.mkdir(parents=True, exist_ok=True)
    save_config(config, workdir / "config.json")
    reporter = Reporter(workdir)
    _describe(trainer, workdir, reporter)
    with checkpoint.open_manager(workdir) as manager:
        state = _first_state(trainer, manager, reporter)
        state, result = _run(trainer, state, manager, reporter)
        manager.wait_until_finished()
    evaluations = {"network": result}
    if config.baselines:
        evaluations |= task.baselines(state.evaluated, mesh)
    reporter.say("finished")
    reporter.close()
    return evaluations


def _describe(trainer: Trainer, workdir: pathlib.Path, reporter: Reporter) -> None:
    """Says what is about to happen."""
    config, params = trainer.config, trainer.shapes.params
    reporter.text("config", f"```\n{config}\n```")
    reporter.say(f"{jax.device_count()} {jax.devices()[0].device_kind} devices as {dict(trainer.mesh.shape)}")
    reporter.say(trainer.task.describe())
    decayed, frozen = paths_matching(params, config.decay), paths_matching(params, config.freeze)
    reporter.say(f"{config.model.name}\n{parameter_table(params, decayed, frozen)}")
    epochs = trainer.total_steps / trainer.task.steps_per_epoch
    reporter.say(f"{trainer.total_steps} steps of {config.batch_size} images, {epochs:.1f} epochs, in {workdir}")


def _first_state(trainer: Trainer, manager: ocp.CheckpointManager, reporter: Reporter) -> TrainState:
    """The latest checkpoint of the run, or new parameters, or those of `init_from`."""
    abstract = trainer.abstract()
    step = manager.latest_step()
    if step is not None:
        reporter.say(f"going on from the checkpoint of step {step}")
        items = checkpoint.restore(manager, step, _items(abstract))
        return TrainState(params=items["params"], average=items.get("average"), **items["optimizer"])
    if not trainer.config.init_from:
        reporter.say("new parameters")
        return trainer.new_state()
    source = pathlib.Path(trainer.config.init_from)
    params, account = initial_params(source, trainer.new_state().params, trainer.mesh)
    reporter.say(f"parameters from {source}\n{describe(account, params)}")
    return trainer.new_state(params)


def _items(state: TrainState) -> dict[str, Any]:
    """A state as the items of a checkpoint."""
    items = {"params": state.params, "optimizer": {"step": state.step, "optimizer": state.optimizer}}
    return items if state.average is None else items | {"average": state.average}


def _run(trainer, state, manager, reporter) -> tuple[TrainState, Evaluation]:
    """Steps up to the last, with evaluations and checkpoints on the way."""
    config, task = trainer.config, trainer.task
    eval_steps = max(round(config.eval_epochs * task.steps_per_epoch), 1)
    start, result = int(state.step), None
    batches = task.train_batches(start)
    progress = Progress(reporter, start, trainer.total_steps, config.batch_size, config.log_steps, trainer.schedule)
    for step in range(start + 1, trainer.total_steps + 1):
        batch = progress.wait(lambda: next(batches))
        if step == start + 1:
            _show(reporter, step, task.batch_pictures(batch))
        state, metrics = trainer.step(state, sharding.put_batch(batch, trainer.mesh))
        progress.step(step, metrics)
        if step == start + 1:
            jax.block_until_ready(metrics)
            reporter.say("the training step is compiled, the first one taken")
        if step == trainer.total_steps or step % eval_steps == 0:
            result = _evaluate(trainer, state, step, reporter)
            checkpoint.save(manager, step, _items(state), {checkpoint.METRIC: result.figures["AP"]})
            progress.restart()
        elif step % config.checkpoint_steps == 0:
            checkpoint.save(manager, step, _items(state))
    progress.close()
    return state, result or _evaluate(trainer, state, start, reporter)


def _evaluate(trainer, state, step, reporter) -> Evaluation:
    result = trainer.task.evaluate(state.evaluated, trainer.mesh)
    reporter.figures(step, {f"eval/{name}": value for name, value in result.figures.items()})
    reporter.say(f"step {step}: AP {result.figures['AP']:.3f}, AR {result.figures['AR']:.3f}")
    _show(reporter, step, trainer.task.evaluation_pictures(state.evaluated, trainer.mesh, result))
    reporter.curves()
    return result


def _show(reporter, step, pictures) -> None:
    for name, picture in pictures.items():
        reporter.picture(step, name, picture)
