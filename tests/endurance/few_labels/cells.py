"""The runs of the protocol. Each is a cell with its settings; its result is a file of its own, so that runs resume."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable

import numpy as np

RATES, DECAYS, HIGHEST = (1e-3, 2e-3, 4e-3, 8e-3), (1.0, 0.75), 1.6e-2
STEPS = 1000
TUNING_SEEDS, DIAGNOSIS_SEEDS, SEEDS, CURVE_SEEDS = (100, 101), (100, 101, 102), tuple(range(8)), (0, 1, 2)
LABELS, MIDDLE = (25, 100, 400), 100
RANDOM, SUPERVISED, ENCODER, PSEUDO = "random", "supervised", "encoder", "pseudo"
TEACHER = "teacher"
UNLABELLED = ("frames", "crops", "normalised", "temporal")  # pretrainings without labels, see `pretraining.py`
MASKED = (*UNLABELLED, TEACHER)
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
    grid = [*itertools.product(RATES, DECAYS, TUNING_SEEDS), *itertools.product((HIGHEST,), DECAYS[:1], TUNING_SEEDS)]
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


def final(start: str, setting: tuple[float, float], labels: Iterable[int]) -> list[Cell]:
    """Returns the comparison of a start, with its chosen setting, on the test infants."""
    return [Cell("final", start, count, *setting, seed) for count in labels for seed in SEEDS]


def curves(start: str, setting: tuple[float, float], steps: Iterable[int]) -> list[Cell]:
    """Returns runs of other lengths, for learning curves."""
    return [Cell("curve", start, MIDDLE, *setting, seed, steps=count) for count in steps for seed in CURVE_SEEDS]


def short_tuning(start: str) -> list[Cell]:
    """Returns the part of the tuning by which pretrainings are compared."""
    return [cell for cell in tuning(start) if cell.rate in RATES[2:]]


def chosen_setting(folder: pathlib.Path, tuned: list[Cell]) -> tuple[float, float]:
    """Returns the learning rate and layer decay with the lowest mean log error among finished cells of a tuning."""
    errors = mean_errors(folder, tuned)
    return min(errors, key=lambda setting: errors[setting])


def mean_errors(folder: pathlib.Path, tuned: list[Cell]) -> dict[tuple[float, float], float]:
    """Returns the mean log error over the seeds of each learning rate and layer decay."""
    errors: dict[tuple[float, float], list[float]] = {}
    for cell in tuned:
        errors.setdefault((cell.rate, cell.layer_decay), []).append(read(folder, cell)["log_error"])
    return {setting: float(np.mean(values)) for setting, values in errors.items()}


def best_masked(folder: pathlib.Path) -> str:
    """Returns the pretraining, of those without labels, with the lowest mean log error at its best setting."""
    lowest = {start: min(mean_errors(folder, short_tuning(start)).values()) for start in UNLABELLED}
    return min(lowest, key=lambda start: lowest[start])


def file(folder: pathlib.Path, cell: Cell) -> pathlib.Path:
    """Returns the file of the result of a cell."""
    return folder / "runs" / f"{cell.name}.json"


def finished(folder: pathlib.Path, chosen: Iterable[Cell]) -> bool:
    """Returns whether all cells have results."""
    return all(file(folder, cell).exists() for cell in chosen)


def read(folder: pathlib.Path, cell: Cell) -> dict:
    """Returns the result of a cell."""
    return json.loads(file(folder, cell).read_text())
