"""Makes batches from a source of records and a function that batches them. Batch n depends only on (seed, n)."""

import dataclasses
import functools
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator

import grain
import numpy as np
from absl import flags

from aggpose_jax.data.source import PoseSource, Source
from aggpose_jax.errors import UserError
from aggpose_jax.runtime.worker_processes import exit_with_parent

Batch = dict[str, np.ndarray]


class CachedSource:
    """A source that makes each record of another source once and keeps it in memory, for records that are rendered."""

    def __init__(self, source: PoseSource):
        self._source = source
        self._records: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict:
        if index not in self._records:
            self._records[index] = self._source[index]
        return self._records[index]

    def counts(self) -> dict[str, int]:
        """Returns the numbers of images, persons and so on of the cached source, see `PoseSource.counts`."""
        return self._source.counts()

    def ground_truth(self) -> dict:
        """Returns the COCO dict of the cached source, see `PoseSource.ground_truth`."""
        return self._source.ground_truth()


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Returns the random order in which an epoch visits `count` records, as their indices [count]."""
    return np.random.default_rng((seed, epoch)).permutation(count)


@dataclasses.dataclass(frozen=True)
class _TrainingBatches:
    """An indexable source of endless training batches of `size` examples; with several processes, of parts of batches.

    Grain passes complete batches to its threads, because its overhead per element is too high for single records.
    """

    source: Source
    make_batch: Callable[[list[dict], list[np.random.Generator]], Batch]
    size: int
    seed: int

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, number: int) -> Batch:
        pairs = [self._epoch_and_record(position) for position in range(number * self.size, (number + 1) * self.size)]
        generators = [np.random.default_rng((self.seed, epoch, 1 + index)) for epoch, index in pairs]
        records = [self.source[index] for _, index in pairs]
        return self.make_batch(records, generators)

    def _epoch_and_record(self, position: int) -> tuple[int, int]:
        """Returns the epoch of a position in the endless sequence of training examples, and the index of its record."""
        epoch, offset = divmod(position, len(self.source))
        return epoch, int(_epoch_order(self.seed, epoch, len(self.source))[offset])


def training_batches(
    source: Source,
    make_batch: Callable[[list[dict], list[np.random.Generator]], Batch],
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    threads: int = 0,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Returns endless batches of augmented examples. Each epoch is shuffled anew; a batch may span two epochs.

    Args:
      source: indexable records.
      make_batch: (records, generators) → batch, such as transforms.make_batch. The generator of a record depends only
        on (seed, epoch, record).
      batch_size: examples per batch, of all processes together.
      seed: determines the order and the augmentation.
      start: number of the first batch; a resumed run continues with it.
      threads: number of threads per worker that make batches ahead of time; 0 chooses by the number of cores.
      workers: number of worker processes that make batches; 0 uses threads of this process.
      shard: (index, count) of this process among the training processes. Each gets one of `count` consecutive parts of
        every batch; concatenated in order, the parts are the batch that a single process gets.
    """
    if workers:
        flags.FLAGS.mark_as_parsed()  # grain starts its workers with the flags of absl, which this package does not use
    index, count = shard
    batches = grain.MapDataset.source(_TrainingBatches(source, make_batch, batch_size // count, seed))
    batches = batches[start * count + index :: count]
    if workers:
        _check_shared_memory(batches[0], workers)
    prefetched = batches.to_iter_dataset(_read_options(threads))
    return iter(prefetched.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers), exit_with_parent))


def _check_shared_memory(batch: Batch, workers: int) -> None:
    """Raises a UserError if the batches that worker processes pass on do not fit in the shared memory of the system."""
    folder = pathlib.Path("/dev/shm")
    needed = 2 * workers * sum(array.nbytes for array in batch.values())  # Each worker prepares one batch ahead.
    if folder.is_dir() and (free := shutil.disk_usage(folder).free) < needed:
        raise UserError(
            f"workers: {workers} need about {needed / 1e6:.0f} MB of shared memory, but {folder} has "
            f"{free / 1e6:.0f} MB; start the container with a larger --shm-size, or set --config.workers=0"
        )


def evaluation_batches(
    source: Source,
    make_batch: Callable[[list[dict]], Batch],
    *,
    batch_size: int,
    threads: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Returns batches of each record once, in order. The last batch is padded with repetitions whose `valid` is 0.

    Args:
      source: indexable records.
      make_batch: records → batch with `valid` [N].
      batch_size: examples per batch, of all processes together.
      threads: number of threads that make batches ahead of time; 0 chooses by the number of cores.
      shard: (index, count) of this process among the evaluating processes, see `training_batches`.
    """
    index, count = shard
    size, part = len(source), batch_size // count

    def make_padded_batch(number: int) -> Batch:
        positions = np.arange(number * part, (number + 1) * part)
        batch = make_batch([source[position] for position in np.minimum(positions, size - 1).tolist()])
        return batch | {"valid": np.where(positions < size, batch["valid"], 0)}

    batches = grain.MapDataset.range(-(-size // batch_size) * count).map(make_padded_batch)[index::count]
    return iter(batches.to_iter_dataset(_read_options(threads)))


def _read_options(threads: int) -> grain.ReadOptions:
    # A tenth of the time of a sample is Python code, which only one thread at a time executes, so more than eight
    # threads bring nothing: to use more cores, add worker processes.
    threads = threads or min(os.cpu_count() or 1, 8)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
