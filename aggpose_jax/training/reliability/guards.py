"""Guards around a run and around its batches."""

import contextlib
import pathlib
from collections.abc import Callable, Generator, Iterator

import numpy as np

from aggpose_jax.training.reliability import data_watchdog, preemption, storage_errors, unreadable_images


@contextlib.contextmanager
def guarded_run(workdir: pathlib.Path) -> Iterator[preemption.PreemptionNotice]:
    """Yields a `PreemptionNotice`, which reports SIGTERM; inside the context file system errors become UserErrors.

    Args:
      workdir: folder of the run.

    Raises:
      UserError: replaces a file system error.
    """
    with storage_errors.as_user_error(workdir), preemption.catch_sigterm() as notice:
        yield notice


def guarded_batches(
    batches: Iterator[dict[str, np.ndarray]], source, limit: float, workdir: pathlib.Path, log: Callable[[str], None]
) -> Generator[dict[str, np.ndarray], None, None]:
    """Yields the batches unchanged, lists unreadable images and logs a warning while a batch is late.

    Args:
      batches, source, limit, workdir, log: see `unreadable_images.list_unreadable`.

    Raises:
      UserError: the fraction of unreadable images is above the limit.
    """
    checked = unreadable_images.list_unreadable(batches, source, limit, workdir, log)
    return data_watchdog.warn_when_late(checked, log, data_watchdog.SECONDS)
