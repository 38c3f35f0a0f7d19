"""The runs of the protocol. Each is a cell with its settings; its result is a file of its own, so that runs resume."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable

import numpy as np

RATES, DECAYS = (1e-3, 2e-3, 4e-3, 8e-3), (1.0, 0.75)
STEPS = 1000
TUNING_SEEDS, DIAGNOSIS_SEEDS, SEEDS, CURVE_SEEDS = (100, 101), (100, 101, 102), tuple(range(8)), (0, 1, 2)
LABELS, MIDDLE = (25, 100, 400), 100
RANDOM, SUPERVISED, PSEUDO = "random", "supervised", "pseudo"
MASKED = ("frames", "crops", "normalised", "temporal", "teacher")  # pretrainings, see `pretraining.py`
LONG = 10_000  # steps of random initialisation whose cost is about that of a pretraining and a fine-tuning


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of fine-tuning and its evaluation.

    Attributes:
      part: part of the protocol.
      start: name of the initial variables, or PSEUDO.
      labels: number of labelled infants.
      rate, layer_decay, steps, seed: see `fine_tuning.Settings`; the seed also draws the labelled infants.
      change: name of a change of the initial variables in `starts.CHANGES`.
      split: "validation" or "test", which is evaluated.
    """

    part: str
    start: str
    labels: int
    rate: float
    layer_decay: float
    seed: int
    steps: int = STEPS
    change: str = "unchanged"
    split: str = "test"

    @property
    def name(self) -> str:
        """The name of the result file."""
        return (
            f"{self.part}_{self.start}_{self.change}_{self.labels}_{self.rate:g}_{self.layer_decay:g}_{self.steps}_"
            f"{self.seed}"
        )


def tuning(start: str) -> list[Cell]:
    """Returns the search for the learning rate and the layer decay of a start, on the validation infants."""
    grid = itertools.product(RATES, DECAYS, TUNING_SEEDS)
    return [Cell("tuning", start, MIDDLE, *setting, split="validation") for setting in grid]


def diagnosis(start: str) -> list[Cell]:
    """Returns the runs from changed kernels, and from unchanged ones at a rate and at four times this rate."""
    plain = [
        Cell("diagnosis", start, MIDDLE, rate, 1.0, seed, split="validation")
        for rate in (RATES[1], 4 * RATES[1])
        for seed in DIAGNOSIS_SEEDS
    ]
    changed = [
        Cell("diagnosis", start, MIDDLE, RATES[1], 1.0, seed, change=change, split="validation")
        for change in ("compensated", "shrunk", "shuffled")
        for seed in DIAGNOSIS_SEEDS
    ]
    return plain + changed


def final(start: str, setting: tuple[float, float]) -> list[Cell]:
    """Returns the comparison of a start, with its chosen setting, on the test infants."""
    return [Cell("final", start, labels, *setting, seed) for labels in (MIDDLE, 25, 400) for seed in SEEDS]


def curves(start: str, setting: tuple[float, float], steps: Iterable[int]) -> list[Cell]:
    """Returns runs of other lengths, for learning curves."""
    return [Cell("curve", start, MIDDLE, *setting, seed, steps=count) for count in steps for seed in CURVE_SEEDS]


def chosen_setting(folder: pathlib.Path, start: str) -> tuple[float, float]:
    """Returns the learning rate and layer decay of a start with the lowest mean log error in its tuning.

    Raises:
      FileNotFoundError: the tuning of the start is not complete.
    """
    errors: dict[tuple[float, float], list[float]] = {}
    for cell in tuning(start):
        errors.setdefault((cell.rate, cell.layer_decay), []).append(read(folder, cell)["log_error"])
    return min(errors, key=lambda setting: float(np.mean(errors[setting])))


def read(folder: pathlib.Path, cell: Cell) -> dict:
    """Returns the result of a cell."""
    return json.loads((folder / "runs" / f"{cell.name}.json").read_text())
