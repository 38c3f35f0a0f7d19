"""Warns when the input data stalls."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
SECONDS = 20.0  # of waiting for one batch, after which a warning is logged, and again after as many


def warn_when_late(batches: Iterator[T], log: Callable[[str], None], seconds: float) -> Iterator[T]:
    """Yields the batches unchanged and logs a warning while one is waited for: a hanging disk or data worker.

    A worker that dies raises an error of its own, which passes through.

    Args:
      batches: any iterator.
      log: called with one line, from a thread.
      seconds: waiting time before the first and between further warnings.
    """
    since: float | None = None  # when the present wait began
    ended = threading.Event()

    def watch():
        nonlocal since
        while not ended.wait(seconds / 10):
            if since is not None and time.monotonic() - since > seconds:
                log(f"WARNING: no data for {seconds:.0f} s; is the disk, or a data worker, hanging?{_workers()}")
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
    return f" The workers are processes {', '.join(pids)}." if pids else ""
