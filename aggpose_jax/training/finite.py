"""Stops a run at its first loss, gradient or parameter that is not finite, before a checkpoint takes it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from aggpose_jax.errors import UserError


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
    """

    def __init__(self, names: list[str], manager: ocp.CheckpointManager):
        self._names, self._manager = names, manager
        self._step, self._finite = 0, np.ones(len(names), bool)

    def note(self, step: int, finite: jax.Array) -> None:
        """Checks the step before and keeps this one."""
        self.check()
        self._step, self._finite = step, finite

    def check(self) -> None:
        """Waits for the last step that was noted.

        Raises:
          UserError: something of it is not finite; names the step, the first such quantity and the last checkpoint.
        """
        finite = np.asarray(self._finite)
        if finite.all():
            return
        self._manager.wait_until_finished()
        saved, workdir = self._manager.latest_step(), self._manager.directory.parent
        advice = "take a lower learning_rate or a clip_norm"
        if saved is None:
            kept = f"no checkpoint was written yet; {advice}"
        else:
            kept = (
                f"{workdir} keeps the checkpoint of step {saved}; {advice}, and go on from it in another workdir "
                f"with --config.init_from={workdir}"
            )
        raise UserError(f"step {self._step}: {self._names[finite.argmin()]} is not finite; {kept}")
