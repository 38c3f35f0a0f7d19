"""Preemption: after SIGTERM a run finishes its step on every process, saves a checkpoint and exits with status 75."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # EX_TEMPFAIL, "try again": exit status of a run that was preempted and saved its last step


class Preempted(SystemExit):
    """Raised in a preempted run after its last step was saved; ends the program with EXIT_CODE."""

    def __init__(self):
        super().__init__(EXIT_CODE)


class PreemptionNotice:
    """Reports whether any process received SIGTERM, with the same answer on all processes at the same call.

    With several processes JAX catches the signal and synchronises them; in a single process `catch_sigterm` handles it.
    """

    def __init__(self):
        self._calls, self._signalled, self._reached = 0, False, False

    def is_preempted(self) -> bool:
        """Returns whether SIGTERM was received; every process must call this at the same points, and often."""
        self._calls += 1
        if jax.process_count() > 1:
            self._reached |= multihost_utils.reached_preemption_sync_point(self._calls)
            return self._reached
        return self._signalled

    def check(self) -> None:
        """Ends the run by an exception if any process received SIGTERM; to be called like `is_preempted`.

        Raises:
          Preempted: SIGTERM was received.
        """
        if self.is_preempted():
            raise Preempted

    def _handle_signal(self, *_) -> None:
        self._signalled = True


@contextlib.contextmanager
def catch_sigterm() -> Iterator[PreemptionNotice]:
    """Catches SIGTERM inside the context and yields a `PreemptionNotice`, which reports whether it was received.

    If there are several processes, JAX catches the signal instead. Outside the main thread it cannot be caught.
    """
    notice = PreemptionNotice()
    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield notice
        return
    previous = signal.signal(signal.SIGTERM, notice._handle_signal)
    try:
        yield notice
    finally:
        signal.signal(signal.SIGTERM, previous)
