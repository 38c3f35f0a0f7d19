"""The guards around a whole run and around its batches."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from aggpose_jax.training.reliability import data_watchdog, preemption, storage_errors, unreadable_images


@contextlib.contextmanager
def guarded_run(workdir: pathlib.Path) -> Iterator[preemption.PreemptionNotice]:
    """Yields the notice of SIGTERM, and reports errors of the file system as one line.

    Raises:
      UserError: instead of an error of the file system.
    """
    with storage_errors.reported(workdir), preemption.watching() as notice:
        yield notice


def guarded_batches(
    batches: Iterator[dict[str, np.ndarray]], source, limit: float, workdir: pathlib.Path, log: Callable[[str], None]
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches unchanged, lists unreadable images and warns while data does not come.

    Args:
      batches, source, limit, workdir, log: see `unreadable_images.listed`.

    Raises:
      UserError: more than the limit of images are unreadable.
    """
    readable = unreadable_images.listed(batches, source, limit, workdir, log)
    return data_watchdog.warn_when_late(readable, log, data_watchdog.SECONDS)
