"""Parts that the tasks have in common: access to their data, and a task composed of separate objects."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections
from jax.sharding import Mesh

from aggpose_jax.data import pipeline
from aggpose_jax.runtime import distributed
from aggpose_jax.training.task import Batch


class TaskData:
    """The records of a task, opened at first use, and iterators of their batches.

    Args:
      config: batch_size, eval_batch_size, seed, threads and workers are read when batches are requested.
      open_source: returns the records for "train" or "eval"; their `counts()` are numbers by name, for messages.
      batch_maker: returns the `make_batch` function for such records that `data.pipeline` calls.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        open_source: Callable[[str], Any],
        batch_maker: Callable[[Any], Callable[..., Batch]],
    ):
        self._config, self._open, self._batch_maker = config, open_source, batch_maker

    @functools.cached_property
    def train_source(self) -> Any:
        """The training records."""
        return self._open("train")

    @functools.cached_property
    def eval_source(self) -> Any:
        """The evaluation records."""
        return self._open("eval")

    def describe(self) -> str:
        """Returns text with one line on the training records and one on the evaluation records."""
        sources = {"training": self.train_source, "evaluation": self.eval_source}
        return "\n".join(
            f"{use:<12} " + ", ".join(f"{count:,} {name}" for name, count in source.counts().items())
            for use, source in sources.items()
        )

    def train_batches(self, start: int) -> Iterator[Batch]:
        """Returns endless batches, starting with the batch after `start` steps; see `Task.train_batches`."""
        return pipeline.training_batches(
            self.train_source,
            self._batch_maker(self.train_source),
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            start=start,
            threads=self._config.threads,
            workers=self._config.workers,
            shard=distributed.process_shard(),
        )

    def eval_batches(self, mesh: Mesh) -> Iterator[Batch]:
        """Returns batches of all evaluation records; their size is divisible by the number of devices in the mesh."""
        return pipeline.evaluation_batches(
            self.eval_source,
            self._batch_maker(self.eval_source),
            batch_size=-(-self._config.eval_batch_size // mesh.size) * mesh.size,
            threads=self._config.threads,
            shard=distributed.process_shard(),
        )


class ComposedTask:
    """A `Task` composed of objects for its data, loss, evaluation and pictures; base class of the tasks."""

    def __init__(self, config: ml_collections.ConfigDict, model: Any, data: TaskData, objective, evaluator, pictures):
        self.config, self.model, self.data = config, model, data
        self.loss, self.train_batches = objective, data.train_batches
        self.evaluate, self.baselines = evaluator.evaluate, evaluator.baselines
        self.batch_pictures, self.evaluation_pictures = pictures.of_batch, pictures.of_evaluation

    @property
    def train_source(self) -> Any:
        """The training records."""
        return self.data.train_source

    @property
    def eval_source(self) -> Any:
        """The evaluation records."""
        return self.data.eval_source

    @property
    def steps_per_epoch(self) -> float:
        """The number of batches in one pass over the training records."""
        return len(self.train_source) / self.config.batch_size
