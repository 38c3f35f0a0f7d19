"""What the tasks share: their data, and how a task is put together."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections
from jax.sharding import Mesh

from aggpose_jax.data import pipeline
from aggpose_jax.runtime import distributed
from aggpose_jax.training.task import Batch


class TaskData:
    """The records of a task, opened at first use, and batches of them.

    Args:
      config: batch_size, eval_batch_size, seed, threads and workers are read when batches are asked for.
      open_source: "train" or "eval" → records, with `counts()` of what they are.
      batch_maker: records → what makes batches of some of them, as of `data.pipeline`.
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
        """Records to train on."""
        return self._open("train")

    @functools.cached_property
    def eval_source(self) -> Any:
        """Records to evaluate."""
        return self._open("eval")

    def describe(self) -> str:
        """Returns a line for the training and one for the evaluation records."""
        sources = {"to train": self.train_source, "to evaluate": self.eval_source}
        return "\n".join(
            f"{use:<12} " + ", ".join(f"{count:,} {thing}" for thing, count in source.counts().items())
            for use, source in sources.items()
        )

    def train_batches(self, start: int) -> Iterator[Batch]:
        """Endless batches, from that of step `start` on; see `Task.train_batches`."""
        return pipeline.training_batches(
            self.train_source,
            self._batch_maker(self.train_source),
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            start=start,
            threads=self._config.threads,
            workers=self._config.workers,
            shard=distributed.share(),
        )

    def eval_batches(self, mesh: Mesh) -> Iterator[Batch]:
        """Batches of all records to evaluate, of a size that the devices of the mesh divide."""
        return pipeline.evaluation_batches(
            self.eval_source,
            self._batch_maker(self.eval_source),
            batch_size=-(-self._config.eval_batch_size // mesh.size) * mesh.size,
            threads=self._config.threads,
            shard=distributed.share(),
        )


class ComposedTask:
    """A `Task` put together of its data, objective, evaluator and pictures."""

    def __init__(self, config: ml_collections.ConfigDict, model: Any, data: TaskData, objective, evaluator, pictures):
        self.config, self.model, self.data = config, model, data
        self.loss, self.train_batches = objective, data.train_batches
        self.evaluate, self.baselines = evaluator.evaluate, evaluator.baselines
        self.batch_pictures, self.evaluation_pictures = pictures.of_batch, pictures.of_evaluation

    @property
    def train_source(self) -> Any:
        """Records to train on."""
        return self.data.train_source

    @property
    def eval_source(self) -> Any:
        """Records to evaluate."""
        return self.data.eval_source

    @property
    def steps_per_epoch(self) -> float:
        """Batches in one pass over the training records."""
        return len(self.train_source) / self.config.batch_size
