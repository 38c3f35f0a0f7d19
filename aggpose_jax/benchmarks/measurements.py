"""Rows of measurements: a program's times beside its costs and the limits of the machine, as a table and as JSON."""

import dataclasses
import statistics
from collections.abc import Sequence

from aggpose_jax.benchmarks.machine import Machine
from aggpose_jax.benchmarks.programs import Cost
from aggpose_jax.benchmarks.timing import Ratio

COLUMNS = ("ms", "/s", "GFLOP", "GB", "matrix", "copy", "MB", "compile s")
OUT_OF_MEMORY = "out of memory"
# A program that reaches less than this share of both limits is held up by something else, such as many small steps.
BOUND_SHARE = 0.3


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The times of a program.

    Attributes:
      name: what was measured.
      samples: number of images, frames or the like of one call; 0 if it could not be run.
      seconds: time of each call; empty if it could not be run.
      cost: what a call needs; None for programs that are not compiled by JAX.
      dtype: type of its matrix products.
      slower: how many times as long it takes as the program that it is compared with; None for that one.
      note: why it could not be run, or what it differs in.
    """

    name: str
    samples: int = 0
    seconds: Sequence[float] = ()
    cost: Cost | None = None
    dtype: str = "float32"
    slower: Ratio | None = None
    note: str = ""

    def fields(self, machine: Machine) -> dict[str, object]:
        """Returns the measurement as JSON values, with its shares of the limits of a machine and what bounds it."""
        content: dict[str, object] = {"name": self.name, "samples": self.samples, "seconds": list(self.seconds)}
        if self.seconds:
            content["median_seconds"] = statistics.median(self.seconds)
            content["samples_per_second"] = self.samples / statistics.median(self.seconds)
        if self.cost:
            content |= dataclasses.asdict(self.cost)
        if shares := self.shares(machine):
            content |= {"matrix_share": shares[0], "copy_share": shares[1], "bound": _bound(*shares)}
        if self.slower:
            content["slower"] = self.slower._asdict()
        return content | ({"note": self.note} if self.note else {})

    def shares(self, machine: Machine) -> tuple[float, float] | None:
        """Returns the shares of the matrix rate and of the copy rate of a machine that the median time reaches."""
        if not self.seconds or not self.cost:
            return None
        seconds = statistics.median(self.seconds)
        matrix = self.cost.operations / seconds / machine.matrix[self.dtype]
        return matrix, self.cost.traffic / seconds / machine.copy


def _bound(matrix: float, copy: float) -> str:
    if max(matrix, copy) < BOUND_SHARE:
        return "neither"
    return "matrix products" if matrix >= copy else "memory traffic"


def table(measurements: Sequence[Measurement], machine: Machine) -> str:
    """Returns measurements as an aligned text table; a value that is not known stays blank."""
    width = max(len(one.name) for one in measurements)
    lines = [" " * width + "".join(f"{column:>11}" for column in COLUMNS) + "  bound"]
    for one in measurements:
        lines.append(f"{one.name:<{width}}" + _cells(one, machine))
    return "\n".join(lines)


def _cells(one: Measurement, machine: Machine) -> str:
    if not one.seconds:
        return f"  {one.note}"
    seconds = statistics.median(one.seconds)
    cells = [f"{1e3 * seconds:.1f}", f"{one.samples / seconds:.1f}", *[""] * 6]
    end = ""
    if one.cost and (shares := one.shares(machine)):
        cells[2:4] = [f"{one.cost.operations / 1e9:.1f}", f"{one.cost.traffic / 1e9:.2f}"]
        cells[4:6] = [f"{share:.2f}" for share in shares]
        cells[6:8] = [f"{one.cost.memory / 1e6:.0f}", f"{one.cost.compile_seconds:.1f}"]
        end = f"  {_bound(*shares)}"
    if one.slower:
        end = f"  {one.slower.median:.2f} times as long ({one.slower.low:.2f}–{one.slower.high:.2f})"
    return "".join(f"{cell:>11}" for cell in cells) + end + (f"; {one.note}" if one.note else "")
