"""Shows the progress of a job: a bar on a terminal, and otherwise a line from time to time, as for a log file."""

import sys
import time
from collections.abc import Callable
from typing import TextIO, TypeAlias

from tqdm import tqdm

FRACTION, SECONDS = 0.1, 30.0  # a line is printed once this fraction of the frames or this time has passed


class ProgressLines:
    """Prints lines of progress. Has those methods of tqdm's bar that a job uses.

    Args:
      total: number of frames; 0 if it is not known.
      file: where the lines are printed; None for standard error.
      clock: returns the time in seconds.
    """

    def __init__(self, total: int, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._total, self._file, self._clock = total, file, clock
        self._start = self._last_time = clock()
        self._done = self._last_done = 0
        self._description = ""

    def __enter__(self) -> "ProgressLines":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the job; nothing is printed."""

    def set_description(self, text: str) -> None:
        """Sets what is being processed."""
        self._description = text

    def update(self) -> None:
        """Counts a frame."""
        self._done += 1
        now = self._clock()
        tenth = self._total and self._done - self._last_done >= FRACTION * self._total
        if tenth or now - self._last_time >= SECONDS:
            self._last_time, self._last_done = now, self._done
            print(self._line(now - self._start), file=self._file or sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        rate = self._done / max(seconds, 1e-9)
        if self._done > self._total:  # The headers of the videos did not tell.
            return f"{self._description}: {self._done} frames, {rate:.1f} frames/s"
        left = (self._total - self._done) / rate
        part = f"{self._done} of {self._total} frames ({self._done / self._total:.0%})"
        return f"{self._description}: {part}, {rate:.1f} frames/s, {_duration(left)} left"


Progress: TypeAlias = tqdm | ProgressLines


def show_progress(total: int) -> Progress:
    """Returns what shows the progress of a job of `total` frames; 0 if their number is not known."""
    if sys.stderr.isatty():
        return tqdm(total=total, unit="frame", smoothing=0.05)
    return ProgressLines(total)


def _duration(seconds: float) -> str:
    """Returns a duration as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
