"""The training loop: batches → a trained network, whatever the task."""

import pathlib
from typing import Any

import jax
import ml_collections

from aggpose_jax import networks
from aggpose_jax.config import describe
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import read_keypoint_set
from aggpose_jax.runtime import compilation, distributed, sharding
from aggpose_jax.training import checkpoint
from aggpose_jax.training.initialise import initial_variables
from aggpose_jax.training.optimizer import paths_matching
from aggpose_jax.training.profiling import Profiler
from aggpose_jax.training.reliability import NonFiniteGuard, Preempted, guarded_batches, guarded_run
from aggpose_jax.training.reporting import Progress, Reporter, open_reporter, parameter_table
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.train_state import TrainState, state_of
from aggpose_jax.training.trainer import Trainer
from aggpose_jax.training.workdir import open_workdir
from aggpose_jax.weights.state_dicts import Weights


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> dict[str, Any]:
    """Trains what `config` says, from the latest checkpoint in `workdir` if it holds one.

    Returns:
      The evaluation of the last parameters as "network", and those of the baselines where the config asks for them.

    Raises:
      UserError: for a configuration, data or workdir that cannot be used.
      Preempted: SIGTERM was received and the last step is saved.
    """
    config.keypoint_set = read_keypoint_set(config.keypoint_set)
    mesh = sharding.make_mesh(-1, config.mesh.fsdp)
    if config.accumulate < 1 or config.batch_size % (mesh.size * config.accumulate):
        raise UserError(
            f"batch_size: {config.batch_size} does not divide by {mesh.size} devices × accumulate {config.accumulate}"
        )
    task = make_task(config)
    trainer = Trainer(task, config, mesh)
    task.describe()  # reads the data, which may be wrong, before anything is written
    open_workdir(workdir, config)
    with guarded_run(workdir) as notice:
        reporter = open_reporter(workdir, task.metric)
        _describe(trainer, workdir, reporter)
        with checkpoint.open_manager(workdir, reporter.say) as manager:
            state = _first_state(trainer, manager, reporter)
            try:
                state, result = _run(trainer, state, manager, reporter, notice)
                manager.wait_until_finished()
                evaluations = {"network": result}
                if config.baselines:
                    evaluations |= task.baselines(state.evaluated, mesh, notice.check)
            except Preempted:
                manager.wait_until_finished()
                saved = f"Received SIGTERM: saved a checkpoint at step {manager.latest_step()}."
                reporter.say(f"{saved} Rerun the same command to resume.")
                raise
            finally:
                reporter.close()
        reporter.say("finished")
    return evaluations


def _describe(trainer: Trainer, workdir: pathlib.Path, reporter: Reporter) -> None:
    """Says what is about to happen."""
    config, params = trainer.config, trainer.shapes.params
    reporter.text("config", f"```\n{config}\n```")
    reporter.say(describe(config))
    devices = f"{jax.device_count()} {jax.devices()[0].device_kind} devices of {jax.process_count()} processes"
    reporter.say(f"{devices} as {dict(trainer.mesh.shape)}")
    reporter.say(trainer.task.describe())
    decayed, frozen = paths_matching(params, config.decay), paths_matching(params, config.freeze)
    reporter.say(f"{config.model.name}\n{parameter_table(params, decayed, frozen)}")
    if "batch_stats" in trainer.shapes.variables and config.accumulate > 1:
        part = config.batch_size // config.accumulate
        reporter.say(
            f"batch statistics are those of each of the {config.accumulate} parts of a batch, of {part} images"
        )
    epochs = trainer.total_steps / trainer.task.steps_per_epoch
    reporter.say(f"{trainer.total_steps} steps of {config.batch_size} images, {epochs:.1f} epochs, in {workdir}")


def _first_state(trainer: Trainer, manager: checkpoint.Checkpoints, reporter: Reporter) -> TrainState:
    """The latest checkpoint of the run, or new parameters, or those of `init_from`."""
    abstract = trainer.abstract()
    step = manager.latest_step()
    if step is not None:
        _check_resumable(manager, step)
        reporter.say(f"going on from the checkpoint of step {step}")
        return state_of(checkpoint.restore(manager, step, abstract.items()))
    if not trainer.config.init_from:
        reporter.say("new parameters")
        return trainer.new_state()
    source = pathlib.Path(trainer.config.init_from)
    target = Weights(networks.find(trainer.config.model.name), trainer.task.model, trainer.shapes.variables)
    variables, report = initial_variables(source, target, lambda: trainer.new_state().variables)
    reporter.say(f"parameters from {source}\n{report}")
    return trainer.new_state(variables)


def _check_resumable(manager: checkpoint.Checkpoints, step: int) -> None:
    if not (manager.directory / str(step) / "optimizer").exists():
        workdir = manager.directory.parent
        raise UserError(
            f"{workdir}: holds converted weights, no training to go on with; train in another --workdir "
            f"with --config.init_from={workdir}"
        )


def _run(trainer, state, manager, reporter, notice) -> tuple[TrainState, Any]:
    """Steps up to the last, with evaluations and checkpoints on the way."""
    config, task = trainer.config, trainer.task
    eval_steps = max(round(config.eval_epochs * task.steps_per_epoch), 1)
    start, result = int(state.step), None
    if start and _is_due(start, trainer, eval_steps) and manager.metrics(start) is None:  # its evaluation was cut off
        result = _score(trainer, state, start, manager, reporter, notice)
    progress = Progress(reporter, start, trainer.total_steps, config.batch_size, config.log_steps, trainer.schedule)
    watch = NonFiniteGuard(trainer.watched, manager, reporter if config.nonfinite == "skip" else None)
    profiler = Profiler(reporter.workdir / "profile", *config.profile_steps)
    batches = guarded_batches(
        task.train_batches(start), task.train_source, config.most_corrupt, reporter.workdir, reporter.say
    )
    for step in range(start + 1, trainer.total_steps + 1):
        if config.patience and checkpoint.evaluations_since_best(manager, step - 1, eval_steps) >= config.patience:
            reporter.say(f"stopping: {config.patience} evaluations without a better {task.metric}")
            break
        batch = progress.wait(lambda: next(batches))
        inputs = sharding.put_batch(batch, trainer.mesh)
        if step == start + 1:
            _show(reporter, step, task.batch_pictures(batch))
            reporter.say(f"the training step is compiled: {compilation.needs(trainer.compile(state, inputs))}")
            distributed.wait_for_all("the step is compiled")
        profiler.before(step)
        state, metrics, finite = trainer.step(state, inputs)
        watch.note(step, finite)
        progress.step(step, metrics)
        profiler.after(step, metrics)
        told, due = notice.given(), _is_due(step, trainer, eval_steps)
        if due and not told:
            watch.check()
            result = _score(trainer, state, step, manager, reporter, notice)
            progress.restart()
        elif told or step % config.checkpoint_steps == 0:
            watch.check()
            checkpoint.save(manager, step, state.items())
        if told:
            raise Preempted
    profiler.close()
    progress.close()
    return state, result or _evaluate(trainer, state, start, reporter, notice)


def _is_due(step, trainer, eval_steps) -> bool:
    return step == trainer.total_steps or step % eval_steps == 0


def _score(trainer, state, step, manager, reporter, notice) -> Any:
    """Evaluates and saves; preempted in the middle it only saves, and the next start evaluates."""
    try:
        result = _evaluate(trainer, state, step, reporter, notice)
    except Preempted:
        if step not in manager.all_steps():
            checkpoint.save(manager, step, state.items())
        raise
    value = result.figures[trainer.task.metric]
    checkpoint.save(manager, step, state.items(), -value if trainer.task.lower_is_better else value)
    return result


def _evaluate(trainer, state, step, reporter, notice) -> Any:
    result = trainer.task.evaluate(state.evaluated, trainer.mesh, notice.check)
    reporter.figures(step, {f"eval/{name}": value for name, value in result.figures.items()})
    summary = ", ".join(f"{name} {result.figures[name]:.3f}" for name in trainer.task.summary)
    reporter.say(f"step {step}: {summary}")
    _show(reporter, step, trainer.task.evaluation_pictures(state.evaluated, trainer.mesh, result))
    reporter.curves()
    distributed.wait_for_all("the evaluation is reported")
    return result


def _show(reporter, step, pictures) -> None:
    for name, picture in pictures.items():
        reporter.picture(step, name, picture)
