"""Runs the protocol of PROTOCOL.md: what masked pretraining and pseudo-labels gain where labels are few.

python tests/endurance/few_labels/run.py WORKDIR

Several processes may run the command in the same folder, one per core; they share the work. Rerun it to resume.
"""

import functools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cells
import data
import numpy as np
import starts
from cells import Cell
from fine_tuning import FineTuning, Settings, metrics
from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax.io import atomic_path, write_json
from configs import finetune_synthetic

SUPERVISED_STEPS, SUPERVISED_RATE = 4000, 2e-3  # eight passes over the pool
ENCODER = "encoder"  # the start from the encoder of the supervised network alone, as masked pretraining gives one


class Job(NamedTuple):
    """A piece of work: the file that it makes, the files that it needs, and a function that makes it."""

    file: pathlib.Path
    needs: list[pathlib.Path]
    make: Callable[[], None]


class Protocol:
    """The jobs of the protocol in a folder, in their order."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        config = finetune_synthetic.get_config()
        config.model.name = "mit_pose_tiny"
        self.tuner = FineTuning(config)
        self.infants = functools.cache(functools.partial(data.read_infants, folder / "infants"))

    def jobs(self) -> Iterator[Job]:
        """Yields the jobs that are known so far; those of later parts need the results of earlier ones."""
        yield Job(self.weights(cells.SUPERVISED), [], self.train_supervised)
        for start in (cells.RANDOM, cells.SUPERVISED):
            yield from map(self.cell_job, cells.tuning(start))
        yield from map(self.cell_job, cells.diagnosis(ENCODER))

    def weights(self, start: str) -> pathlib.Path:
        """Returns the file or the folder of the weights of a start."""
        return self.folder / "weights" / f"{cells.SUPERVISED if start == ENCODER else start}.npz"

    def cell_job(self, cell: Cell) -> Job:
        """Returns the job of a run of fine-tuning."""
        needs = [] if cell.start == cells.RANDOM else [self.weights(cell.start)]
        return Job(self.folder / "runs" / f"{cell.name}.json", needs, functools.partial(self.fine_tune, cell))

    def train_supervised(self) -> None:
        """Trains on all labels of the pool."""
        settings = Settings(SUPERVISED_RATE, 1.0, SUPERVISED_STEPS, seed=1000)
        variables = self.tuner.train(self.tuner.new_variables(1000), self.infants("pool"), settings)
        save(self.weights(cells.SUPERVISED), variables)

    def fine_tune(self, cell: Cell) -> None:
        """Trains and evaluates the network of a cell."""
        begin = time.monotonic()
        variables = starts.CHANGES[cell.change](self.initial(cell), self.tuner.new_variables(cell.seed), cell.seed)
        labelled = data.draw_labelled(self.infants("pool"), cell.labels, cell.seed)
        trained = self.tuner.train(variables, labelled, Settings(cell.rate, cell.layer_decay, cell.steps, cell.seed))
        records = self.infants(cell.split)
        result = metrics(self.tuner.evaluate(trained, records, data.ground_truth(records)))
        write_json(self.folder / "runs" / f"{cell.name}.json", result | {"seconds": time.monotonic() - begin})

    def initial(self, cell: Cell):
        """Returns the variables that a cell starts from, before any change."""
        new = self.tuner.new_variables(cell.seed)
        if cell.start == cells.RANDOM:
            return new
        loaded = load(self.weights(cell.start))
        if cell.start == ENCODER:
            return {"params": {**new["params"], "encoder": loaded["params"]["encoder"]}}
        return loaded


def save(file: pathlib.Path, variables) -> None:
    """Writes variables."""
    with atomic_path(file) as path, path.open("wb") as out:
        np.savez(out, **flatten_dict(variables, sep="/"))


def load(file: pathlib.Path):
    """Reads variables of `save`."""
    with np.load(file) as stored:
        return unflatten_dict(dict(stored), sep="/")


def claim(job: Job) -> bool:
    """Returns whether this process may do a job: no other one that is alive has begun it."""
    file = job.file.with_name(f"{job.file.name}.claim")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x") as out:
            out.write(str(os.getpid()))
        return True
    except FileExistsError:
        owner = file.read_text()
        if owner and not pathlib.Path(f"/proc/{owner}").exists():
            file.unlink(missing_ok=True)
            return claim(job)
        return owner == str(os.getpid())


def work(protocol: Protocol) -> None:
    """Does jobs until none is left that can be done."""
    while True:
        left = [job for job in protocol.jobs() if not job.file.exists()]
        possible = [job for job in left if all(need.exists() for need in job.needs)]
        job = next((job for job in possible if claim(job)), None)
        if job is not None:
            begin = time.monotonic()
            job.make()
            print(f"{time.strftime('%H:%M:%S')} {time.monotonic() - begin:6.0f} s  {job.file.stem}", flush=True)
        elif left:
            time.sleep(10)
        else:
            return


if __name__ == "__main__":
    work(Protocol(pathlib.Path(sys.argv[1])))
