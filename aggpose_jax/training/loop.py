"""The training loop, which is the same for every task."""

import pathlib

import ml_collections

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import read_keypoint_set
from aggpose_jax.runtime import compilation, distributed, sharding
from aggpose_jax.training import checkpoint
from aggpose_jax.training.profiling import Profiler
from aggpose_jax.training.reliability import NonFiniteGuard, Preempted, guarded_batches, guarded_run
from aggpose_jax.training.reporting import Progress, open_reporter
from aggpose_jax.training.run import Run, initial_state, log_setup
from aggpose_jax.training.task import Result
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.trainer import Trainer
from aggpose_jax.training.workdir import open_workdir


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> dict[str, Result]:
    """Trains the network of a configuration, and resumes from the latest checkpoint in `workdir` if there is one.

    Args:
      config: the configuration of the experiment.
      workdir: folder of the run; it is created if it does not exist.

    Returns:
      The evaluation of the last variables as "network", and those of the baselines if the configuration asks for them.

    Raises:
      UserError: the configuration, the data or the workdir cannot be used.
      Preempted: SIGTERM was received and a checkpoint of the last step was saved.
    """
    trainer = _make_trainer(config)
    trainer.task.describe()  # opens the data, so that errors in it are reported before anything is written
    before = open_workdir(workdir, config, "batch_stats" in trainer.shapes.variables)
    with guarded_run(workdir) as notice:
        reporter = open_reporter(workdir, trainer.task.metric)
        log_setup(trainer, workdir, reporter)
        if before is not None and before.accumulate != config.accumulate:
            reporter.log(
                f"accumulate changes from {before.accumulate} to {config.accumulate}: the random numbers of drop path "
                "and colour jitter differ from those of a run without the change"
            )
        with checkpoint.open_manager(workdir, reporter.log) as manager:
            state = initial_state(trainer, manager, reporter)
            run = Run(trainer, manager, reporter, notice, state, int(state.step))
            try:
                _take_steps(run)
                manager.wait_until_finished()
                evaluations = run.evaluations()
            except Preempted:
                manager.wait_until_finished()
                message = f"Received SIGTERM: saved a checkpoint at step {manager.latest_step()}."
                reporter.log(f"{message} Rerun the same command to resume.")
                raise
            finally:
                reporter.close()
        reporter.log("finished")
    return evaluations


def _make_trainer(config: ml_collections.ConfigDict) -> Trainer:
    config.keypoint_set = read_keypoint_set(config.keypoint_set)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    if config.accumulate < 1 or config.batch_size % (mesh.size * config.accumulate):
        raise UserError(
            f"batch_size: {config.batch_size} is not divisible by {mesh.size} devices × accumulate "
            f"{config.accumulate}; give a multiple of their product"
        )
    return Trainer(make_task(config), config, mesh)


def _take_steps(run: Run) -> None:
    """Trains until the last step, with the evaluations and checkpoints in between."""
    trainer, reporter, config, start = run.trainer, run.reporter, run.trainer.config, run.step
    if run.is_missing_evaluation():
        run.evaluate_and_save()
    progress = Progress(reporter, start, trainer.total_steps, config.batch_size, config.log_steps, trainer.schedule)
    guard = NonFiniteGuard(trainer.guarded_names, run.manager, reporter if config.nonfinite == "skip" else None)
    profiler = Profiler(reporter.workdir / "profile", *config.profile_steps)
    batches = trainer.task.train_batches(start)
    batches = guarded_batches(batches, trainer.task.train_source, config.most_corrupt, reporter.workdir, reporter.log)
    while run.step < trainer.total_steps and not run.should_stop_early():
        batch = progress.wait(lambda: next(batches))
        inputs = sharding.put_batch(batch, trainer.mesh)
        run.step += 1
        if run.step == start + 1:
            run.write_pictures(trainer.task.batch_pictures(batch))
            reporter.log(
                f"compiled the training step: {compilation.describe_resources(trainer.compile(run.state, inputs))}"
            )
            distributed.wait_for_all("the step is compiled")
        profiler.before(run.step)
        run.state, metrics, finite = trainer.step(run.state, inputs)
        guard.note(run.step, finite)
        progress.step(run.step, metrics)
        profiler.after(run.step, metrics)
        preempted = run.notice.is_preempted()
        if run.is_evaluation_due() and not preempted:
            guard.check()
            run.evaluate_and_save()
            progress.restart()
        elif preempted or run.step % config.checkpoint_steps == 0:
            guard.check()
            run.save()
        if preempted:
            raise Preempted
    batches.close()
    profiler.close()
    progress.close()
    if run.result is None:
        run.evaluate()
