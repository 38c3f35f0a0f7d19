"""A trace of some steps, to see where their time goes: tensorboard --logdir WORKDIR/profile."""

import pathlib
from typing import Any

import jax


class Profiler:
    """Traces from the first step to the last, both included.

    Args:
      folder: of the trace.
      first, last: steps; 0 traces none.
    """

    def __init__(self, folder: pathlib.Path, first: int, last: int):
        self._folder, self._first, self._last = folder, first, last
        self._on = False

    def before(self, step: int) -> None:
        """Begins if this is a step to trace, and not yet begun: a resumed run may start among them."""
        if self._first <= step <= self._last and not self._on and self._first:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # it hooks into all threads of Python, of which there are many here
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._on = True

    def after(self, step: int, outputs: Any) -> None:
        """Ends after the last, when its outputs are there."""
        if self._on and step >= self._last:
            jax.block_until_ready(outputs)
            self.close()

    def close(self) -> None:
        """Ends a trace that the run did not come to the end of."""
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
