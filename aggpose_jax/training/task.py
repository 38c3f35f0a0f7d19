"""The protocol of a task: the attributes and methods that the training loop and the programs use."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

Batch = dict[str, Any]
Variables = dict[str, Any]  # {"params": …}, and "batch_stats" of networks that have batch statistics


class Result(Protocol):
    """The result of an evaluation.

    Attributes:
      metrics: values by name, including the `metric` of the task.
    """

    metrics: dict[str, float]


class Task(Protocol):
    """A task: a network with its data, loss and evaluation.

    Attributes:
      metric: name of the metric by which the best checkpoint is chosen.
      lower_is_better: whether lower values of that metric are better.
      summary: names of the metrics that are logged at each evaluation.
      columns: names of the metrics in the table at the end of training, if the evaluation has them.
      next_commands: commands that use a finished run, as (purpose, verb, options); {workdir} is the folder of the run.
      model: the network, a Flax module.
      train_source: training records; its `file_name(id)` and `fault(id)` describe an image that cannot be read.
      steps_per_epoch: number of batches in one pass over the training records.
    """

    metric: str
    lower_is_better: bool
    summary: Sequence[str]
    columns: Sequence[str]
    next_commands: Sequence[tuple[str, str, str]]
    model: Any
    train_source: Any
    steps_per_epoch: float

    def describe(self) -> str:
        """Returns a description of the task and its data as text; opens the data."""

    def init(self, rng: jax.Array) -> Variables:
        """Returns newly initialised variables of the network, by collection."""

    def train_batches(self, start: int) -> Iterator[Batch]:
        """Returns an endless iterator of batches, starting with the batch after `start` steps.

        A batch holds host arrays [B, …]: the part of the global batch that belongs to this process. It has `id` and
        `valid`, which is 0 for an example that could not be read and has no weight.
        """

    def loss(self, variables: Variables, batch: Batch, rng: jax.Array) -> tuple[jax.Array, tuple[dict, Variables]]:
        """Returns the loss of a batch and (metrics, updated collections except "params"); called inside jit."""

    def evaluate(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None]) -> Result:
        """Evaluates the network on held-out records; `before_batch` may raise an exception to stop it."""

    def baselines(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None]) -> dict[str, Result]:
        """Returns evaluations of baselines by name, for comparison with the evaluation of the network."""

    def batch_pictures(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns pictures of a training batch by name, RGB uint8 [H, W, 3]."""

    def evaluation_pictures(self, variables: Variables, mesh: Mesh, result: Result) -> dict[str, np.ndarray]:
        """Returns pictures of an evaluation by name, RGB uint8 [H, W, 3]."""
