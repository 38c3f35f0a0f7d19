"""Data that comes late, and not at all."""

import time

import pytest

from aggpose_jax.training.reliability import watchdog


def batches(*delays: float):
    for number, delay in enumerate(delays):
        time.sleep(delay)
        yield number


def take(delays, seconds: float) -> tuple[list[int], list[str]]:
    said, taken = [], []
    watched = watchdog.watched(batches(*delays), said.append, seconds)
    for _ in delays:
        taken.append(next(watched))
    watched.close()
    return taken, said


def test_a_long_wait_is_said_and_the_batch_still_comes():
    taken, said = take((0.0, 0.7, 0.0), 0.2)
    assert taken == [0, 1, 2]
    assert 1 <= len(said) <= 3  # once every 0.2 s
    assert said[0].startswith("WARNING: no data for 0 s; is the disk, or a data worker, hanging?")


def test_many_short_waits_are_none():
    assert take((0.06,) * 10, 0.5)[1] == []


def test_it_is_said_within_half_a_minute():
    assert watchdog.SECONDS * 1.1 < 30


def test_an_error_of_the_data_comes_through():
    def broken():
        yield 0
        raise RuntimeError("Worker process was terminated")

    watched = watchdog.watched(broken(), print)
    assert next(watched) == 0
    with pytest.raises(RuntimeError, match="Worker process"):
        next(watched)
