"""Profiles some training steps; show the trace with tensorboard --logdir WORKDIR/profile."""

import pathlib
from typing import Any

import jax


class Profiler:
    """Writes a trace of the steps from `first` to `last`, both included.

    Args:
      folder: folder that the trace is written to.
      first, last: numbers of steps; with 0 nothing is traced.
    """

    def __init__(self, folder: pathlib.Path, first: int, last: int):
        self._folder, self._first, self._last = folder, first, last
        self._on = False

    def before(self, step: int) -> None:
        """Starts the trace at a step of the range if it is not running; a resumed run may start within the range."""
        if self._first <= step <= self._last and not self._on and self._first:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Tracing Python hooks into all threads; the data pipeline has many.
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._on = True

    def after(self, step: int, outputs: Any) -> None:
        """Stops the trace after the last step, once the outputs of the step are computed."""
        if self._on and step >= self._last:
            jax.block_until_ready(outputs)
            self.close()

    def close(self) -> None:
        """Stops a trace that is still running, as when the run ends before the last step of the range."""
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
