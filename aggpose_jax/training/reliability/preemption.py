"""A preempted run (SIGTERM) finishes its step on every process, saves, and exits with a status of its own."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # EX_TEMPFAIL, "try again": of a run that was preempted and saved its last step


class Preempted(SystemExit):
    """Ends the program with EXIT_CODE."""

    def __init__(self):
        super().__init__(EXIT_CODE)


class PreemptionNotice:
    """Whether SIGTERM was received, by this process or another; all processes get the same answer at the same call.

    With several processes JAX catches the signal and lets them agree; a single one does so here.
    """

    def __init__(self):
        self._calls, self._signalled, self._reached = 0, False, False

    def given(self) -> bool:
        """The answer; every process must call this at the same places, and often."""
        self._calls += 1
        if jax.process_count() > 1:
            self._reached |= multihost_utils.reached_preemption_sync_point(self._calls)
            return self._reached
        return self._signalled

    def check(self) -> None:
        """Calls `given`, too.

        Raises:
          Preempted: it was.
        """
        if self.given():
            raise Preempted

    def _note(self, *_) -> None:
        self._signalled = True


@contextlib.contextmanager
def watching() -> Iterator[PreemptionNotice]:
    """A notice that catches SIGTERM inside the context."""
    notice = PreemptionNotice()
    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield notice
        return
    former = signal.signal(signal.SIGTERM, notice._note)
    try:
        yield notice
    finally:
        signal.signal(signal.SIGTERM, former)
