"""Training and evaluation batches of records."""

import itertools

import numpy as np
import pytest

from aggpose_jax.data import pipeline
from aggpose_jax.errors import UserError


class Numbers:
    """A source whose records contain their index, and which records the indices that were requested."""

    def __init__(self, count: int):
        self._count = count
        self.requested = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self._count:
            raise IndexError(index)
        self.requested.append(index)
        return {"number": index, "objects": object()}

    def ground_truth(self) -> dict:
        return {"images": [self._count]}


def plain(records: list[dict]) -> dict:
    return {"number": np.array([record["number"] for record in records]), "valid": np.ones(len(records), np.float32)}


def augment(records: list[dict], generators: list[np.random.Generator]) -> dict:
    return plain(records) | {"random": np.stack([rng.random(2) for rng in generators])}


def take(count: int, *, records: int = 10, batch_size: int = 4, **options) -> list[dict]:
    options = {"seed": 0, "threads": 1} | options
    batches = pipeline.training_batches(Numbers(records), augment, batch_size=batch_size, **options)
    return list(itertools.islice(batches, count))


def assert_same(batches: list[dict], expected: list[dict]) -> None:
    for a, b in zip(batches, expected, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("start", [1, 3, 7])  # 7 is in the third epoch
def test_start_skips_batches(start):
    assert_same(take(2, start=start), take(start + 2)[start:])


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_after_a_resume_do_not_depend_on_workers(workers):
    assert_same(take(6, workers=workers, start=2), take(6, start=2))


def test_the_parts_of_all_processes_make_up_each_batch():
    expected = take(5, records=20)
    parts = [take(5, records=20, shard=(process, 2)) for process in (0, 1)]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(*parts, strict=True)]
    assert_same(joined, expected)
    assert sorted(n for batches in parts for batch in batches for n in batch["number"]) == list(range(20))


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (4, 4), (200, 8), (None, 1)])
def test_the_default_number_of_threads_depends_on_the_cores(monkeypatch, cores, threads):
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: cores)
    assert pipeline._read_options(0).num_threads == threads
    assert pipeline._read_options(3).num_threads == 3


def test_batches_do_not_depend_on_threads():
    assert_same(take(8, threads=3), take(8, threads=1))


def test_the_seed_determines_the_order_and_the_augmentation():
    assert_same(take(3, seed=5), take(3, seed=5))
    first, second = take(3, seed=5), take(3, seed=6)
    assert not np.array_equal(*(np.concatenate([b["number"] for b in batches]) for batches in (first, second)))
    assert not np.intersect1d(*(np.concatenate([b["random"].ravel() for b in x]) for x in (first, second))).size


def test_every_epoch_has_each_record_once_in_a_different_order():
    numbers = np.concatenate([batch["number"] for batch in take(10)])  # four epochs; some batches span two of them
    epochs = numbers.reshape(4, 10)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(10), (4, 1)))
    assert len(np.unique(epochs, axis=0)) == 4
    assert not any((epoch == np.arange(10)).all() for epoch in epochs)


def test_records_are_augmented_differently_in_each_epoch():
    batches = take(10)
    numbers = np.concatenate([batch["random"] for batch in batches])
    assert len(np.unique(numbers)) == numbers.size


def test_batches_may_be_larger_than_the_source():
    (batch,) = take(1, records=3, batch_size=8)
    np.testing.assert_array_equal(np.bincount(batch["number"][:6]), [2, 2, 2])
    assert len(batch["number"]) == 8


@pytest.mark.parametrize("threads", [1, 3])
def test_evaluation_has_each_record_once_in_order_and_pads_the_last_batch(threads):
    batches = list(pipeline.evaluation_batches(Numbers(6), plain, batch_size=4, threads=threads))
    assert [batch["number"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert [batch["valid"].tolist() for batch in batches] == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_evaluation_without_a_partial_batch_is_not_padded():
    batches = list(pipeline.evaluation_batches(Numbers(4), plain, batch_size=2))
    assert [batch["valid"].tolist() for batch in batches] == [[1, 1], [1, 1]]


def test_a_cached_source_makes_each_record_once():
    source = Numbers(3)
    cached = pipeline.CachedSource(source)
    first = [cached[i] for i in (2, 0, 2)]
    assert source.requested == [2, 0]
    assert first[0] is first[2]
    assert [record["number"] for record in first] == [2, 0, 2]
    assert len(cached) == 3
    assert cached.ground_truth() == {"images": [3]}


def test_too_little_shared_memory_for_workers_is_an_error_of_one_line(monkeypatch):
    usage = pipeline.shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(pipeline.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"workers: 2 need .* /dev/shm has 0 MB; .*--config\.workers=0"):
        take(1, workers=2)
    take(1)
