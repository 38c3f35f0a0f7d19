"""A training run: what it starts from, its evaluations and its checkpoints."""

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
from aggpose_jax.training.train_state import TrainState, state_of
from aggpose_jax.training.trainer import Trainer
from aggpose_jax.weights.state_dicts import Weights


@dataclasses.dataclass
class Run:
    """All that a training run has, and what happens between its steps.

    Attributes:
      trainer: computes the steps.
      manager: of the checkpoints.
      reporter: of metrics, pictures and lines.
      notice: whether SIGTERM was received.
      state: after `step` steps.
      step: number of steps taken; that of `state` is on the devices, where reading it would wait for the last step.
      result: of the last evaluation since the program started.
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
        """Steps from one evaluation to the next."""
        return max(round(self.trainer.config.eval_epochs * self.trainer.task.steps_per_epoch), 1)

    def is_due(self) -> bool:
        """After this step comes an evaluation."""
        return self.step == self.trainer.total_steps or self.step % self.eval_steps == 0

    def lacks_evaluation(self) -> bool:
        """The checkpoint that the run goes on from was to be evaluated, and that was cut off."""
        return self.step > 0 and self.is_due() and self.manager.metrics(self.step) is None

    def is_out_of_patience(self) -> bool:
        """The evaluations stopped getting better, which is logged."""
        patience = self.trainer.config.patience
        if not patience or checkpoint.evaluations_since_best(self.manager, self.step, self.eval_steps) < patience:
            return False
        self.reporter.log(f"stopping: {patience} evaluations without a better {self.trainer.task.metric}")
        return True

    def save(self, score: float | None = None) -> None:
        """Starts to write a checkpoint, with the score of an evaluation at this step."""
        checkpoint.save(self.manager, self.step, self.state.items(), score)

    def evaluate_and_save(self) -> None:
        """Evaluates and saves; preempted in the middle it only saves, and the next start evaluates."""
        try:
            self.evaluate()
        except Preempted:
            if self.step not in self.manager.all_steps():
                self.save()
            raise
        value = self.result.metrics[self.trainer.task.metric]
        self.save(-value if self.trainer.task.lower_is_better else value)

    def evaluate(self) -> None:
        """Evaluates the variables to use the network with, and reports it."""
        task, mesh, variables = self.trainer.task, self.trainer.mesh, self.state.evaluated
        self.result = task.evaluate(variables, mesh, self.notice.check)
        metrics = self.result.metrics
        self.reporter.log_metrics(self.step, {f"eval/{name}": value for name, value in metrics.items()})
        self.reporter.log(f"step {self.step}: " + ", ".join(f"{name} {metrics[name]:.3f}" for name in task.summary))
        self.show(task.evaluation_pictures(variables, mesh, self.result))
        self.reporter.curves()
        distributed.wait_for_all("the evaluation is reported")

    def evaluations(self) -> dict[str, Result]:
        """The last evaluation as "network", and those of the baselines where the configuration asks for them."""
        task, mesh = self.trainer.task, self.trainer.mesh
        baselines = self.trainer.config.baselines and task.baselines(self.state.evaluated, mesh, self.notice.check)
        return {"network": self.result, **(baselines or {})}

    def show(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Writes pictures of this step."""
        for name, picture in pictures.items():
            self.reporter.picture(self.step, name, picture)


def log_setup(trainer: Trainer, workdir: pathlib.Path, reporter: Reporter) -> None:
    """Logs what is about to happen."""
    config, params = trainer.config, trainer.shapes.params
    reporter.text("config", f"```\n{config}\n```")
    reporter.log(describe(config))
    devices = f"{jax.device_count()} {jax.devices()[0].device_kind} devices of {jax.process_count()} processes"
    reporter.log(f"{devices} as {dict(trainer.mesh.shape)}")
    reporter.log(trainer.task.describe())
    decayed, frozen = paths_matching(params, config.decay), paths_matching(params, config.freeze)
    reporter.log(f"{config.model.name}\n{parameter_table(params, decayed, frozen)}")
    if "batch_stats" in trainer.shapes.variables and config.accumulate > 1:
        parts, size = config.accumulate, config.batch_size // config.accumulate
        reporter.log(f"batch statistics are those of each of the {parts} parts of a batch, of {size} images")
    epochs = trainer.total_steps / trainer.task.steps_per_epoch
    reporter.log(f"{trainer.total_steps} steps of {config.batch_size} images, {epochs:.1f} epochs, in {workdir}")


def first_state(trainer: Trainer, manager: checkpoint.Checkpoints, reporter: Reporter) -> TrainState:
    """The latest checkpoint of the run, or new variables, or those of `init_from`."""
    step = manager.latest_step()
    if step is not None:
        _check_resumable(manager, step)
        reporter.log(f"going on from the checkpoint of step {step}")
        return state_of(checkpoint.restore(manager, step, trainer.abstract().items()))
    if not trainer.config.init_from:
        reporter.log("new parameters")
        return trainer.new_state()
    source = pathlib.Path(trainer.config.init_from)
    target = Weights(networks.find(trainer.config.model.name), trainer.task.model, trainer.shapes.variables)
    variables, report = initial_variables(source, target, lambda: trainer.new_state().variables)
    reporter.log(f"parameters from {source}\n{report}")
    return trainer.new_state(variables)


def _check_resumable(manager: checkpoint.Checkpoints, step: int) -> None:
    if not (manager.directory / str(step) / "optimizer").exists():
        workdir = manager.directory.parent
        raise UserError(
            f"{workdir}: holds converted weights, no training to go on with; train in another --workdir "
            f"with --config.init_from={workdir}"
        )
