"""Warnings for data that arrives late, and errors in the data."""

import time

import pytest

from aggpose_jax.training.reliability import data_watchdog


def batches(*delays: float):
    for number, delay in enumerate(delays):
        time.sleep(delay)
        yield number


def take(delays, seconds: float) -> tuple[list[int], list[str]]:
    logged, taken = [], []
    watched = data_watchdog.warn_when_late(batches(*delays), logged.append, seconds)
    for _ in delays:
        taken.append(next(watched))
    watched.close()
    return taken, logged


def test_a_long_wait_is_logged_and_the_batch_is_yielded():
    taken, logged = take((0.0, 0.7, 0.0), 0.2)
    assert taken == [0, 1, 2]
    assert 1 <= len(logged) <= 3  # once every 0.2 s
    assert logged[0].startswith("WARNING: no data for 0 s")


def test_many_short_waits_log_nothing():
    assert take((0.06,) * 10, 0.5)[1] == []


def test_the_first_warning_is_within_half_a_minute():
    assert data_watchdog.SECONDS * 1.1 < 30


def test_an_error_in_the_data_is_passed_on():
    def broken():
        yield 0
        raise RuntimeError("Worker process was terminated")

    watched = data_watchdog.warn_when_late(broken(), print, 20.0)
    assert next(watched) == 0
    with pytest.raises(RuntimeError, match="Worker process"):
        next(watched)
