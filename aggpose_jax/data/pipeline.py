"""A source and a transform become batches. The n-th batch is a function of (seed, n) alone."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grain
import numpy as np

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
    make_example: Callable[[dict, np.random.Generator], Batch]
    size: int
    seed: int

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, number: int) -> Batch:
        # One thing after the other for all records: after decoding an image, whatever comes next is slow to begin.
        places = [self._place(position) for position in range(number * self.size, (number + 1) * self.size)]
        generators = [np.random.default_rng((self.seed, epoch, 1 + index)) for epoch, index in places]
        records = [self.source[index] for _, index in places]
        examples = list(map(self.make_example, records, generators))
        return {name: np.stack([example[name] for example in examples]) for name in examples[0]}

    def _place(self, position: int) -> tuple[int, int]:
        """Epoch and record of a position in the endless order."""
        epoch, place = divmod(position, len(self.source))
        return epoch, int(_epoch_order(self.seed, epoch, len(self.source))[place])


def training_batches(
    source,
    make_example: Callable[[dict, np.random.Generator], Batch],
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    threads: int = 2,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Endless batches of augmented examples; every epoch is shuffled anew and batches run across its end.

    Args:
      source: indexable records.
      make_example: (record, generator) → example; the generator depends on (seed, epoch, record) only.
      batch_size: examples in a batch of all processes together.
      seed: of the order and of the augmentation.
      start: number of the first batch, where a resumed run goes on.
      threads: that make batches ahead of time, in each worker.
      workers: processes that do; 0 is this one.
      shard: (index, count) of this process among those that train together. Each gets its consecutive part of every
        batch, so that the parts in order are the batch of a single process.
    """
    index, count = shard
    batches = grain.MapDataset.source(_TrainingBatches(source, make_example, batch_size // count, seed))
    batches = batches[start * count + index :: count]
    ahead = batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads))
    return iter(ahead.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)))


def evaluation_batches(
    source, make_example: Callable[[dict], Batch], *, batch_size: int, threads: int = 2
) -> Iterator[Batch]:
    """Each record once, in order. The last batch is filled up with repetitions whose `valid` is 0."""
    batches = grain.MapDataset.source(source).map(make_example).batch(batch_size)
    for batch in batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)):
        yield _fill(batch, batch_size)


def _fill(batch: Batch, batch_size: int) -> Batch:
    missing = batch_size - len(batch["valid"])
    if not missing:
        return batch
    filled = {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in batch.items()}
    filled["valid"][-missing:] = 0
    return filled
