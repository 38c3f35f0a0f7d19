"""The parts of the protocol on synthetic infants, as jobs in their order."""

import functools
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import cells
import data
import starts
from cells import Cell
from fine_tuning import FineTuning, Settings, metrics
from jobs import Job
from pseudo_labels import adapt
from variables import load, save

from aggpose_jax.io import write_json
from configs import finetune_synthetic

ROOT = pathlib.Path(__file__).parents[3]
SUPERVISED = Settings(rate=2e-3, layer_decay=1.0, steps=4000, seed=1000)  # eight passes over the pool


class Infants:
    """The jobs in a folder.

    Args:
      folder: folder of all results.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        config = finetune_synthetic.get_config()
        config.model.name = "mit_pose_tiny"
        self.tuner = FineTuning(config)
        self.records = functools.cache(functools.partial(data.read_infants, folder / "infants"))

    def jobs(self) -> Iterator[Job | None]:
        """Yields the jobs that can be done now, and None if results are missing that later jobs need."""
        yield Job(self.supervised, self.train_supervised)
        yield from self.runs(cells.tuning(cells.RANDOM))
        for variant in cells.UNLABELLED:
            yield from self.of_pretraining(variant)
        if self.supervised.exists():
            yield from self.runs(cells.tuning(cells.SUPERVISED))
        masked = self.compared()[2]
        if masked:
            yield from self.runs(cells.tuning(masked))
        yield from self.comparison((cells.RANDOM, cells.SUPERVISED, masked), (cells.MIDDLE,))
        yield from self.diagnosis(masked)
        yield from self.of_pseudo()
        yield from self.comparison((cells.RANDOM, cells.SUPERVISED, masked, cells.PSEUDO), (25, 400))
        yield from self.of_pretraining(cells.TEACHER)
        yield from self.learning_curves()

    def of_pretraining(self, variant: str) -> Iterator[Job]:
        """Yields a masked pretraining and its tuning."""
        yield Job(self.pretraining(variant) / "done.json", functools.partial(self.pretrain, variant))
        if self.ready(variant):
            yield from self.runs(cells.short_tuning(variant))

    def diagnosis(self, masked: str | None) -> Iterator[Job | None]:
        """Yields the runs from changed kernels."""
        if not self.supervised.exists() or masked is None:
            yield None
            return
        for start in dict.fromkeys((cells.ENCODER, masked, "frames")):
            yield from self.runs(cells.diagnosis(start))

    def of_pseudo(self) -> Iterator[Job | None]:
        """Yields the tuning of pseudo-labels, which needs the networks of `random`, and the comparison with it."""
        if not cells.finished(self.folder, cells.tuning(cells.RANDOM)):
            yield None
            return
        yield from self.runs(cells.tuning(cells.PSEUDO))
        yield from self.comparison((cells.PSEUDO,), (cells.MIDDLE,))

    def comparison(self, compared: Iterable[str | None], labels: Iterable[int]) -> Iterator[Job | None]:
        """Yields the runs that are evaluated on the test infants; None stands for a start that is not chosen yet."""
        for start in compared:
            if start and cells.finished(self.folder, cells.tuning(start)):
                yield from self.runs(cells.final(start, self.setting(start), labels))
            else:
                yield None

    def compared(self) -> tuple[str | None, ...]:
        """Returns the compared starts; None stands for the masked one while it is not chosen."""
        chosen = all(cells.finished(self.folder, cells.short_tuning(variant)) for variant in cells.UNLABELLED)
        masked = cells.best_masked(self.folder) if chosen else None
        return cells.RANDOM, cells.SUPERVISED, masked, cells.PSEUDO

    def learning_curves(self) -> Iterator[Job | None]:
        """Yields runs of other lengths."""
        random, _, masked, _ = self.compared()
        for start, steps in ((random, (250, 500, 2000, 3000, cells.LONG)), (masked, (250, 500, 2000))):
            if start and cells.finished(self.folder, cells.tuning(start)):
                yield from self.runs(cells.curves(start, self.setting(start), steps))
            else:
                yield None

    def setting(self, start: str) -> tuple[float, float]:
        """Returns the learning rate and the layer decay that a start was tuned to."""
        return cells.chosen_setting(self.folder, cells.tuning(start))

    def ready(self, start: str) -> bool:
        """Returns whether the initial variables of a pretraining exist."""
        return (self.pretraining(start) / "done.json").exists()

    @property
    def supervised(self) -> pathlib.Path:
        """The file of the network that is trained on all labels of the pool."""
        return self.folder / "weights" / "supervised.npz"

    def pretraining(self, variant: str) -> pathlib.Path:
        """Returns the folder of a pretraining's run."""
        return self.folder / "pretraining" / variant

    def runs(self, chosen: list[Cell]) -> Iterator[Job]:
        """Yields the jobs of cells."""
        for cell in chosen:
            yield Job(cells.file(self.folder, cell), functools.partial(self.run, cell))

    def train_supervised(self) -> None:
        """Trains on all labels of the pool."""
        save(self.supervised, self.tuner.train(self.tuner.new_variables(1000), self.records("pool"), SUPERVISED))

    def pretrain(self, variant: str) -> None:
        """Runs a masked pretraining."""
        begin, workdir = time.monotonic(), self.pretraining(variant)
        config = pathlib.Path(__file__).with_name("pretraining.py")
        command = (sys.executable, "-m", "aggpose_jax.main", f"--config={config}:{variant}", f"--workdir={workdir}")
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        write_json(workdir / "done.json", {"seconds": time.monotonic() - begin})

    def run(self, cell: Cell) -> None:
        """Trains and evaluates the network of a cell."""
        begin = time.monotonic()
        settings = Settings(cell.rate, cell.layer_decay, cell.steps, cell.seed)
        pool = self.records("pool")
        labelled = data.draw_labelled(pool, cell.labels, cell.seed)
        details = {}
        if cell.start == cells.PSEUDO:
            teacher = load(cells.file(self.folder, self.teacher(cell)).with_suffix(".npz"))
            trained, details["rounds"] = adapt(self.tuner, teacher, labelled, pool, settings)
        else:
            trained = self.tuner.train(self.initial(cell), labelled, settings)
        if cell.start == cells.RANDOM and cell.steps == cells.STEPS:  # a teacher of pseudo-labels
            save(cells.file(self.folder, cell).with_suffix(".npz"), trained)
        infants = self.records(cell.split)
        result = metrics(self.tuner.evaluate(trained, infants, data.ground_truth(infants)))
        write_json(cells.file(self.folder, cell), result | details | {"seconds": time.monotonic() - begin})

    def teacher(self, cell: Cell) -> Cell:
        """Returns the cell of the network that labels the pool for a cell."""
        rate, layer_decay = self.setting(cells.RANDOM)
        return Cell(cell.part, cells.RANDOM, cell.labels, rate, layer_decay, cell.seed, split=cell.split)

    def initial(self, cell: Cell):
        """Returns the variables that a cell starts from."""
        new = self.tuner.new_variables(cell.seed)
        if cell.start == cells.RANDOM:
            return new
        if cell.start == cells.SUPERVISED:
            return load(self.supervised)
        if cell.start == cells.ENCODER:
            start = {"params": {**new["params"], "encoder": load(self.supervised)["params"]["encoder"]}}
        else:
            start = starts.from_weights(self.tuner, self.pretraining(cell.start), new)
        return starts.CHANGES[cell.change](start, new, cell.seed)
