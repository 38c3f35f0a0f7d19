"""A loss, gradient or parameter that is not finite stops a run, or is skipped with its step, before it is saved."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from aggpose_jax.errors import UserError
from aggpose_jax.training.reporting import Reporter


def watched(loss: Any, gradient: Any, params: Any, frozen: Any) -> dict[str, Any]:
    """What must be finite after a step, by name and in the order of its origin; what is frozen costs no gradient."""
    quantities = {"the loss": loss}
    for word, tree in (("the gradient of", gradient), ("the parameter", params)):
        for (path, leaf), stays in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(frozen), strict=True):
            if not stays:
                quantities[f"{word} {jax.tree_util.keystr(path, simple=True, separator='/')}"] = leaf
    return quantities


def are_finite(quantities: dict[str, jax.Array]) -> jax.Array:
    """[Q] bool, in order. A quantity of which the square overflows counts as infinite, as it does to the optimizer."""
    return jnp.stack([jnp.isfinite(jnp.square(quantity).sum()) for quantity in quantities.values()])


class FiniteWatch:
    """Looks at each step while the next one runs, so that none waits for it.

    Args:
      names: of the quantities of `are_finite`.
      manager: of the checkpoints of the run.
      reporter: is told of skipped steps; without it a step that is not finite stops the run.
    """

    def __init__(self, names: list[str], manager: ocp.CheckpointManager, reporter: Reporter | None = None):
        self._names, self._manager, self._reporter = names, manager, reporter
        self._step, self._finite, self._skipped = 0, np.ones(len(names), bool), 0

    def note(self, step: int, finite: jax.Array) -> None:
        """Checks the step before and keeps this one."""
        self.check()
        self._step, self._finite = step, finite

    def check(self) -> None:
        """Waits for the last step that was noted.

        Raises:
          UserError: something of it is not finite; names the step, the first such quantity and the last checkpoint.
        """
        finite, self._finite = np.asarray(self._finite), np.ones(len(self._names), bool)
        if finite.all():
            return
        what = f"step {self._step}: {self._names[finite.argmin()]} is not finite"
        if self._reporter is None:
            raise UserError(f"{what}; {self._kept()}")
        self._skipped += 1
        self._reporter.say(f"WARNING: {what}; the step is skipped, {self._skipped} since the start")
        self._reporter.figures(self._step, {"train/skipped": self._skipped})

    def _kept(self) -> str:
        self._manager.wait_until_finished()
        saved, workdir = self._manager.latest_step(), self._manager.directory.parent
        advice = "take a lower learning_rate or a clip_norm"
        if saved is None:
            return f"no checkpoint was written yet; {advice}"
        return (
            f"{workdir} keeps the checkpoint of step {saved}; {advice}, and go on from it in another workdir "
            f"with --config.init_from={workdir}"
        )
