"""A source and a transform become batches. The n-th batch is a function of (seed, n) alone."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grain
import numpy as np

from aggpose_jax.runtime.worker_processes import exit_with_parent

Batch = dict[str, np.ndarray]


class Remembered:
    """A source that makes each record once and keeps it in memory: for records that are drawn, not read."""

    def __init__(self, source):
        self._source = source
        self._records: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict:
        if index not in self._records:
            self._records[index] = self._source[index]
        return self._records[index]

    def counts(self) -> dict[str, int]:
        """Those of the source."""
        return self._source.counts()

    def ground_truth(self) -> dict:
        """That of the source."""
        return self._source.ground_truth()


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of so many records in an epoch."""
    return np.random.default_rng((seed, epoch)).permutation(count)


@dataclasses.dataclass(frozen=True)
class _TrainingBatches:
    """All batches by number. Whole batches are what grain hands to threads: a record by itself costs too much there."""

    source: Any
    make_batch: Callable[[list[dict], list[np.random.Generator]], Batch]
    size: int
    seed: int

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, number: int) -> Batch:
        places = [self._place(position) for position in range(number * self.size, (number + 1) * self.size)]
        generators = [np.random.default_rng((self.seed, epoch, 1 + index)) for epoch, index in places]
        records = [self.source[index] for _, index in places]
        return self.make_batch(records, generators)

    def _place(self, position: int) -> tuple[int, int]:
        """Epoch and record of a position in the endless order."""
        epoch, place = divmod(position, len(self.source))
        return epoch, int(_epoch_order(self.seed, epoch, len(self.source))[place])


def training_batches(
    source,
    make_batch: Callable[[list[dict], list[np.random.Generator]], Batch],
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    threads: int = 0,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Endless batches of augmented examples; every epoch is shuffled anew and batches run across its end.

    Args:
      source: indexable records.
      make_batch: (records, generators) → batch, such as transforms.make_batch. A record's generator depends on
        (seed, epoch, record) only.
      batch_size: examples in a batch of all processes together.
      seed: of the order and of the augmentation.
      start: number of the first batch, where a resumed run goes on.
      threads: that make batches ahead of time, in each worker; 0 chooses by the machine.
      workers: processes that do; 0 is this one.
      shard: (index, count) of this process among those that train together. Each gets its consecutive part of every
        batch, so that the parts in order are the batch of a single process.
    """
    index, count = shard
    batches = grain.MapDataset.source(_TrainingBatches(source, make_batch, batch_size // count, seed))
    batches = batches[start * count + index :: count]
    ahead = batches.to_iter_dataset(_read_ahead(threads))
    return iter(ahead.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers), exit_with_parent))


def evaluation_batches(
    source,
    make_batch: Callable[[list[dict]], Batch],
    *,
    batch_size: int,
    threads: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Each record once, in order. The last batch is filled up with repetitions whose `valid` is 0.

    Args:
      source: indexable records.
      make_batch: records → batch with `valid` [N].
      batch_size: examples in a batch of all processes together.
      threads: that make batches ahead of time; 0 chooses by the machine.
      shard: (index, count) of this process among those that evaluate together, as of `training_batches`.
    """
    index, count = shard
    size, part = len(source), batch_size // count

    def batch(number: int) -> Batch:
        positions = np.arange(number * part, (number + 1) * part)
        made = make_batch([source[position] for position in np.minimum(positions, size - 1).tolist()])
        return made | {"valid": np.where(positions < size, made["valid"], 0)}

    batches = grain.MapDataset.range(-(-size // batch_size) * count).map(batch)[index::count]
    return iter(batches.to_iter_dataset(_read_ahead(threads)))


def _read_ahead(threads: int) -> grain.ReadOptions:
    # A tenth of a sample is Python, where one thread waits for the others: more cores than eight want workers.
    threads = threads or min(os.cpu_count() or 1, 8)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
