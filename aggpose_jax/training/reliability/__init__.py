"""Faults that can occur during a run, and how each is handled.

The training loop uses three guards:

* `guarded_run` is a context around the run. SIGTERM: its `PreemptionNotice` makes the loop save a checkpoint and raise
  `Preempted`, which ends the program with exit status 75; the same command resumes the run. A disk that is full,
  read-only or disconnected: a `UserError` names the workdir, the reason and the last checkpoint in one line.
* `guarded_batches` wraps the batches. An unreadable image: its example has no weight, the image is listed in
  WORKDIR/corrupt_images.txt, and above a limit a `UserError` stops the run. Data that does not arrive: a warning with
  the ids of the data workers is logged every 20 seconds. A dead data worker: the data pipeline itself raises an error.
* `NonFiniteGuard` checks each step. NaN or infinity in the loss, a gradient or a parameter: a `UserError` names the
  step, the quantity and the last checkpoint, or the step is skipped and counted. Such values are never saved.

Killed processes and damaged checkpoints are handled when checkpoints are opened: `training/checkpoint.py` verifies
their checksums, moves damaged steps to another folder and resumes from the latest intact one.
"""

from aggpose_jax.training.reliability.guards import guarded_batches, guarded_run
from aggpose_jax.training.reliability.nonfinite import NonFiniteGuard
from aggpose_jax.training.reliability.preemption import Preempted, PreemptionNotice

__all__ = ["NonFiniteGuard", "Preempted", "PreemptionNotice", "guarded_batches", "guarded_run"]
