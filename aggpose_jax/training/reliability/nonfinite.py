"""Guards a run against NaN and infinity: a step with such values stops the run or is skipped, and is never saved."""

import jax
import numpy as np
import orbax.checkpoint as ocp

from aggpose_jax.errors import UserError
from aggpose_jax.training.reporting import Reporter


class NonFiniteGuard:
    """Checks each step while the next one runs, so that no step waits for the check.

    Args:
      names: names of the quantities that `finite.are_finite` checks.
      manager: checkpoint manager of the run.
      reporter: logs skipped steps; with None the run stops at the first step with a non-finite quantity.
    """

    def __init__(self, names: list[str], manager: ocp.CheckpointManager, reporter: Reporter | None = None):
        self._names, self._manager, self._reporter = names, manager, reporter
        self._step, self._skipped = 0, 0
        self._finite: np.ndarray | jax.Array = np.ones(len(names), bool)

    def note(self, step: int, finite: jax.Array) -> None:
        """Checks the previous step and stores the result of this one.

        Args:
          step: number of the step.
          finite: [Q] bool of `are_finite`.

        Raises:
          UserError: as in `check`.
        """
        self.check()
        self._step, self._finite = step, finite

    def check(self) -> None:
        """Waits for the last step that was passed to `note`, and checks it.

        Raises:
          UserError: a quantity is not finite; names the step, the first such quantity and the last checkpoint.
        """
        finite, self._finite = np.asarray(self._finite), np.ones(len(self._names), bool)
        if finite.all():
            return
        fault = f"step {self._step}: {self._names[finite.argmin()]} is not finite"
        if self._reporter is None:
            raise UserError(f"{fault}. {self._advice()}")
        self._skipped += 1
        self._reporter.log(f"WARNING: {fault}. The step is skipped; {self._skipped} steps skipped since the start.")
        self._reporter.log_metrics(self._step, {"train/skipped": self._skipped})

    def _advice(self) -> str:
        self._manager.wait_until_finished()
        saved, workdir = self._manager.latest_step(), self._manager.directory.parent
        advice = "Use a lower learning_rate or a clip_norm"
        if saved is None:
            return f"No checkpoint was written yet. {advice}."
        return (
            f"{workdir} keeps the checkpoint of step {saved}. {advice}, and start from that checkpoint in another "
            f"workdir with --config.init_from={workdir}."
        )
