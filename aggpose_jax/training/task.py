"""What the training loop and the programs ask of a task."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

Batch = dict[str, Any]
Variables = dict[str, Any]  # {"params": …}, and "batch_stats" of networks that have batch statistics


class Result(Protocol):
    """An evaluation.

    Attributes:
      metrics: metrics by name, the `metric` of the task among them.
    """

    metrics: dict[str, float]


class Task(Protocol):
    """Something to train a network for.

    Attributes:
      metric: name of the metric by which the best checkpoint is chosen.
      lower_is_better: of the metric.
      summary: names of the metrics that are logged at each evaluation.
      columns: names of the metrics in the table at the end.
      afterwards: commands that use a finished run, by their purpose; {workdir} stands for its folder.
      model: the network, a Flax module.
      train_source: training records, with `file_name(id)` and `fault(id)` of an image that cannot be read.
      steps_per_epoch: batches in one pass over the training records.
    """

    metric: str
    lower_is_better: bool
    summary: Sequence[str]
    columns: Sequence[str]
    afterwards: Sequence[tuple[str, str]]
    model: Any
    train_source: Any
    steps_per_epoch: float

    def describe(self) -> str:
        """Returns what there is to learn and from which data, as text; the data is opened for it."""

    def init(self, rng: jax.Array) -> Variables:
        """Returns new variables of the network."""

    def train_batches(self, start: int) -> Iterator[Batch]:
        """Returns endless batches of host arrays [B, …], from that of step `start` on: this process's part of each.

        Each has `id` and `valid`; the latter is 0 for an example that could not be read, which has no weight.
        """

    def loss(self, variables: Variables, batch: Batch, rng: jax.Array) -> tuple[jax.Array, tuple[dict, Variables]]:
        """Returns the loss of a batch and (metrics, updated collections but "params"); compiled with the step."""

    def evaluate(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None]) -> Result:
        """Evaluates the network on held-out records; `before_batch` may raise to end it."""

    def baselines(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None]) -> dict[str, Result]:
        """Returns evaluations, by name, that give a scale to that of the network."""

    def batch_pictures(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns pictures of a training batch by name, RGB uint8 [H, W, 3]."""

    def evaluation_pictures(self, variables: Variables, mesh: Mesh, result: Result) -> dict[str, np.ndarray]:
        """Returns pictures of an evaluation by name, RGB uint8 [H, W, 3]."""
