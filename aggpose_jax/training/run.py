"""A training run: its initial state, its evaluations and its checkpoints."""

import dataclasses
import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from aggpose_jax import networks
from aggpose_jax.config import describe
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed
from aggpose_jax.training import checkpoint
from aggpose_jax.training.initialise import initial_variables
from aggpose_jax.training.optimizer import paths_matching
from aggpose_jax.training.reliability import Preempted, PreemptionNotice
from aggpose_jax.training.reporting import Reporter, parameter_table
from aggpose_jax.training.task import Result
from aggpose_jax.training.train_state import TrainState, state_from_items
from aggpose_jax.training.trainer import Trainer
from aggpose_jax.weights.state_dicts import Weights


@dataclasses.dataclass
class Run:
    """The objects and the state of a training run, and what happens between its steps.

    Attributes:
      trainer: computes the steps.
      manager: writes the checkpoints.
      reporter: writes metrics, pictures and log lines.
      notice: reports whether SIGTERM was received.
      state: training state after `step` steps.
      step: number of steps taken; `state.step` is on the devices, where reading it would wait for the last step.
      result: the last evaluation since the program started, or None before the first.
    """

    trainer: Trainer
    manager: checkpoint.Checkpoints
    reporter: Reporter
    notice: PreemptionNotice
    state: TrainState
    step: int
    result: Result | None = None

    @property
    def eval_steps(self) -> int:
        """The number of training steps from one evaluation to the next, at least 1."""
        return max(round(self.trainer.config.eval_epochs * self.trainer.task.steps_per_epoch), 1)

    def is_evaluation_due(self) -> bool:
        """Returns whether the network is to be evaluated after the current step."""
        return self.step == self.trainer.total_steps or self.step % self.eval_steps == 0

    def is_missing_evaluation(self) -> bool:
        """Returns whether the evaluation of the checkpoint from which the run resumes was interrupted."""
        return self.step > 0 and self.is_evaluation_due() and self.manager.metrics(self.step) is None

    def should_stop_early(self) -> bool:
        """Returns whether the last `patience` evaluations did not improve the best metric, and logs it."""
        patience = self.trainer.config.patience
        if not patience or checkpoint.evaluations_since_best(self.manager, self.step, self.eval_steps) < patience:
            return False
        self.reporter.log(f"stopping early: {self.trainer.task.metric} did not improve in {patience} evaluations")
        return True

    def save(self, score: float | None = None) -> None:
        """Starts to write a checkpoint of the current step; `score` is that of its evaluation, or None without one."""
        checkpoint.save(self.manager, self.step, self.state.checkpoint_items(), score)

    def evaluate_and_save(self) -> None:
        """Evaluates the network and saves a checkpoint; if preempted it only saves, and the resumed run evaluates."""
        try:
            self.evaluate()
        except Preempted:
            if self.step not in self.manager.all_steps():
                self.save()
            raise
        assert self.result is not None  # because `evaluate` stores it
        value = self.result.metrics[self.trainer.task.metric]
        self.save(-value if self.trainer.task.lower_is_better else value)

    def evaluate(self) -> None:
        """Evaluates the network and reports the result; the moving average of its variables is used if there is one."""
        task, mesh, variables = self.trainer.task, self.trainer.mesh, self.state.eval_variables
        self.result = task.evaluate(variables, mesh, self.notice.check)
        metrics = self.result.metrics
        self.reporter.log_metrics(self.step, {f"eval/{name}": value for name, value in metrics.items()})
        self.reporter.log(f"step {self.step}: " + ", ".join(f"{name} {metrics[name]:.3f}" for name in task.summary))
        self.write_pictures(task.evaluation_pictures(variables, mesh, self.result))
        self.reporter.curves()
        distributed.wait_for_all("the evaluation is reported")

    def evaluations(self) -> dict[str, Result]:
        """Returns the last evaluation as "network", and those of the baselines if the configuration asks for them."""
        task, mesh = self.trainer.task, self.trainer.mesh
        baselines = self.trainer.config.baselines and task.baselines(self.state.eval_variables, mesh, self.notice.check)
        return {"network": self.result, **(baselines or {})}

    def write_pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Writes pictures of the current step, RGB images [H, W, 3] by name, to the workdir and to TensorBoard."""
        for name, picture in pictures.items():
            self.reporter.picture(self.step, name, picture)


def log_setup(trainer: Trainer, workdir: pathlib.Path, reporter: Reporter) -> None:
    """Logs the configuration, devices, data, parameters and number of steps of a run before it starts."""
    config, params = trainer.config, trainer.shapes.params
    reporter.text("config", f"```\n{config}\n```")
    reporter.log(describe(config))
    devices = f"{jax.device_count()} {jax.devices()[0].device_kind} devices in {jax.process_count()} processes"
    reporter.log(f"{devices}, mesh {dict(trainer.mesh.shape)}")
    reporter.log(trainer.task.describe())
    decayed, frozen = paths_matching(params, config.decay), paths_matching(params, config.freeze)
    reporter.log(f"{config.model.name}\n{parameter_table(params, decayed, frozen)}")
    if "batch_stats" in trainer.shapes.variables and config.accumulate > 1:
        parts, size = config.accumulate, config.batch_size // config.accumulate
        reporter.log(f"batch statistics are computed for each of the {parts} parts of a batch, over {size} images")
    epochs = trainer.total_steps / trainer.task.steps_per_epoch
    reporter.log(f"{trainer.total_steps} steps of {config.batch_size} images ({epochs:.1f} epochs) in {workdir}")


def initial_state(trainer: Trainer, manager: checkpoint.Checkpoints, reporter: Reporter) -> TrainState:
    """Returns the state of the latest checkpoint of the run; without one, new variables or those of `init_from`."""
    step = manager.latest_step()
    if step is not None:
        _check_resumable(manager, step)
        reporter.log(f"resuming from the checkpoint of step {step}")
        return state_from_items(checkpoint.restore(manager, step, trainer.abstract().checkpoint_items()))
    if not trainer.config.init_from:
        reporter.log("initialised new parameters")
        return trainer.new_state()
    source = pathlib.Path(trainer.config.init_from)
    target = Weights(networks.find(trainer.config.model.name), trainer.task.model, trainer.shapes.variables)
    variables, report = initial_variables(source, target, lambda: trainer.new_state().variables)
    reporter.log(f"initialised parameters from {source}\n{report}")
    return trainer.new_state(variables)


def _check_resumable(manager: checkpoint.Checkpoints, step: int) -> None:
    if not (manager.directory / str(step) / "optimizer").exists():
        workdir = manager.directory.parent
        raise UserError(
            f"{workdir}: contains converted weights without an optimizer state, so training cannot resume; train in "
            f"another --workdir with --config.init_from={workdir}"
        )
