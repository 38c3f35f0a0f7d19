"""Says when data does not come."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
SECONDS = 20.0  # without a batch, after which it is said, and again


def watched(batches: Iterator[T], say: Callable[[str], None], seconds: float = SECONDS) -> Iterator[T]:
    """Passes batches on, and says so whenever one has been waited for so long: a hanging disk or data worker.

    A worker that died raises an error of its own.
    """
    since: float | None = None  # when the wait began
    ended = threading.Event()

    def watch():
        nonlocal since
        while not ended.wait(seconds / 10):
            if since is not None and time.monotonic() - since > seconds:
                say(f"WARNING: no data for {seconds:.0f} s; is the disk, or a data worker, hanging?{_workers()}")
                since = time.monotonic()

    threading.Thread(target=watch, daemon=True, name="data watchdog").start()
    try:
        while True:
            since = time.monotonic()
            batch = next(batches)
            since = None
            yield batch
    finally:
        ended.set()


def _workers() -> str:
    pids = [str(child.pid) for child in multiprocessing.active_children()]
    return f" The workers are processes {', '.join(pids)}." if pids else ""
