"""A run that is told to go (SIGTERM) finishes its step on every process, saves, and ends with a code of its own."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # "try again": of a run that was told to go and saved its last step; the same command goes on


class Preempted(SystemExit):
    """Ends the program with EXIT_CODE."""

    def __init__(self):
        super().__init__(EXIT_CODE)


class Notice:
    """Whether SIGTERM has come, to this process or another; every process hears of it at the same question.

    Of several processes JAX catches the signal and lets them agree; a single one does so here.
    """

    def __init__(self):
        self._asked, self._signalled, self._reached = 0, False, False

    def given(self) -> bool:
        """The answer; every process must ask at the same places, and often."""
        self._asked += 1
        if jax.process_count() > 1:
            self._reached |= multihost_utils.reached_preemption_sync_point(self._asked)
            return self._reached
        return self._signalled

    def check(self) -> None:
        """Asks, too.

        Raises:
          Preempted: the notice was given.
        """
        if self.given():
            raise Preempted

    def _note(self, *_) -> None:
        self._signalled = True


@contextlib.contextmanager
def watching() -> Iterator[Notice]:
    """A notice that catches SIGTERM inside the context."""
    notice = Notice()
    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield notice
        return
    former = signal.signal(signal.SIGTERM, notice._note)
    try:
        yield notice
    finally:
        signal.signal(signal.SIGTERM, former)
