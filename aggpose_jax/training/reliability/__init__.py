"""What can go wrong in a run, and what it leads to.

The training loop uses three guards:

* `guarded_run`, a context around the run. SIGTERM: its notice tells the loop to save and to raise `Preempted`, which
  ends the program with status 75; the same command resumes. A disk that is full, read-only or gone: `UserError`, one
  line that names the workdir, the reason and the last checkpoint.
* `guarded_batches`, around the batches. An unreadable image: its example has no weight, the image is listed in
  WORKDIR/corrupt_images.txt, and above a limit `UserError` stops the run. Data that does not come: a warning every 20
  seconds with the ids of the data workers. A dead data worker: the data pipeline raises by itself.
* `NonFiniteGuard`, notified of each step. NaN or infinity in the loss, a gradient or a parameter: `UserError` names the
  step, the quantity and the last checkpoint, or the step is skipped and counted. It is never saved.

A killed process and damaged checkpoints are handled where checkpoints are opened: `training/checkpoint.py` verifies
their checksums, moves damaged steps aside and resumes from the one before.
"""

from aggpose_jax.training.reliability.guards import guarded_batches, guarded_run
from aggpose_jax.training.reliability.nonfinite import NonFiniteGuard
from aggpose_jax.training.reliability.preemption import Preempted, PreemptionNotice

__all__ = ["NonFiniteGuard", "Preempted", "PreemptionNotice", "guarded_batches", "guarded_run"]
