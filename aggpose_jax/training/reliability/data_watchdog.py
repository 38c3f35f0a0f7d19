"""Logs a warning when the input data stalls."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
SECONDS = 20.0  # waiting time for one batch after which a warning is logged, and between further warnings


def warn_when_late(batches: Iterator[T], log: Callable[[str], None], seconds: float) -> Generator[T, None, None]:
    """Yields the batches unchanged and logs a warning while a batch is late, as when the disk or a data worker hangs.

    A data worker that dies raises an error of its own, which is passed on.

    Args:
      batches: any iterator.
      log: called with one line, from another thread.
      seconds: waiting time before the first warning and between further ones.
    """
    since: float | None = None  # start of the current wait; None while no batch is awaited
    ended = threading.Event()

    def watch():
        nonlocal since
        while not ended.wait(seconds / 10):
            if since is not None and time.monotonic() - since > seconds:
                log(f"WARNING: no data for {seconds:.0f} s. Check whether the disk or a data worker hangs.{_workers()}")
                since = time.monotonic()

    threading.Thread(target=watch, daemon=True, name="data watchdog").start()
    try:
        since = time.monotonic()
        for batch in batches:
            since = None
            yield batch
            since = time.monotonic()
    finally:
        ended.set()


def _workers() -> str:
    pids = [str(child.pid) for child in multiprocessing.active_children()]
    return f" The data workers are processes {', '.join(pids)}." if pids else ""
