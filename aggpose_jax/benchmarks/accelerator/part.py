"""Parts of the report: each has a time budget, is not repeated once it is finished, and does not stop the others."""

import dataclasses
import pathlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from aggpose_jax import io
from aggpose_jax.benchmarks.measurements import OUT_OF_MEMORY
from aggpose_jax.benchmarks.programs import is_out_of_memory

TOTAL = 465.0  # seconds of all parts together, so that starting fits in 8 minutes too; later parts are left out
Content = dict[str, Any]  # what a part has measured, as JSON
Item = TypeVar("Item")


class LeftOut(Exception):
    """A part cannot run on this machine; the message says why. It runs when the report is started again."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all parts need to know.

    Attributes:
      folder: folder of the report.
      crops: file of `benchmarks.accelerator_crops`.
      tiny: whether sizes are chosen that a CPU finishes in seconds, to try the program.
    """

    folder: pathlib.Path
    crops: pathlib.Path
    tiny: bool


class Budget:
    """The time of a part.

    Args:
      seconds: how long the part may take.
      clock: returns seconds.

    Attributes:
      left_out: descriptions of the items for which there was no time.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._clock, self._end = clock, clock() + seconds
        self.left_out: list[str] = []

    def left(self) -> float:
        """Returns the seconds that are left, which are negative after the end."""
        return self._end - self._clock()

    def items(self, items: Iterable[Item], name: Callable[[Item], str] = str) -> Iterator[Item]:
        """Yields the items until the time is over; the names of the others go to `left_out`."""
        for item in items:
            if self.left() > 0:
                yield item
            else:
                self.left_out.append(name(item))


class Part(NamedTuple):
    """A part of the report.

    Attributes:
      name: its name on the command line.
      title: its title on the page.
      seconds: its time budget.
      measure: returns what it measures, from the results of the parts before it, by name.
      describe: returns its lines on the page, in Markdown, from its own content.
    """

    name: str
    title: str
    seconds: float
    measure: Callable[[Setting, Budget, Mapping[str, Content]], Content]
    describe: Callable[[Content], list[str]]


def run(
    parts: Sequence[Part],
    setting: Setting,
    clock: Callable[[], float] = time.monotonic,
    after_part: Callable[[dict[str, Content]], None] = lambda results: None,
) -> dict[str, Content]:
    """Runs parts one after the other.

    The result of a finished part is stored in the folder of the report and read from there the next time. A part that
    fails or is left out runs again then.

    Args:
      parts: the parts, in the order in which they run.
      setting: what they measure.
      clock: returns seconds.
      after_part: is called with the results after each part.

    Returns:
      The content of each part by name, with "seconds" and "left_out" added; of a failed part its "error".
    """
    start, results = clock(), {}
    for part in parts:
        file = setting.folder / f"{part.name}.json"
        if file.exists():
            results[part.name] = dict(io.read_json(file))  # type: ignore[call-overload]  # JSON of any type
        else:
            budget = Budget(min(part.seconds, start + TOTAL - clock()), clock)
            results[part.name] = content = _run(part, setting, budget, clock, results)
            if "seconds" in content:
                io.write_json(file, content, indent=1)
        after_part(results)
    return results


def _run(
    part: Part, setting: Setting, budget: Budget, clock: Callable[[], float], results: Mapping[str, Content]
) -> Content:
    if budget.left() <= 0:
        return {"left_out": [f"not begun: the {TOTAL:.0f} s of the report are over; start it again for this part"]}
    start = clock()
    try:
        content = part.measure(setting, budget, results)
    except LeftOut as reason:
        return {"left_out": [str(reason)]}
    except Exception as error:  # Whatever goes wrong in a part, the others are still of use.
        traceback.print_exc()
        return {"error": OUT_OF_MEMORY if is_out_of_memory(error) else one_line(error)}
    return {**content, "seconds": clock() - start, "left_out": budget.left_out}


def one_line(error: BaseException) -> str:
    """Returns an exception as one line of at most 300 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:299] + "…"
