"""Tests of running jobs in several processes."""

import math
import signal

import pytest

from aggpose_jax.data.worker_jobs import run_in_processes
from aggpose_jax.errors import UserError


@pytest.mark.parametrize("processes", [1, 2])
def test_every_job_is_done_once(processes):
    assert sorted(run_in_processes(abs, [-3, 1, 2], processes)) == [1, 2, 3]


def test_the_error_of_a_killed_worker_recommends_fewer_processes():
    with pytest.raises(UserError, match="--processes"):
        list(run_in_processes(signal.raise_signal, [signal.SIGKILL, signal.SIGKILL], 2))


def test_the_exception_of_a_job_is_raised():
    with pytest.raises(ValueError, match=r"math domain error|expected a nonnegative"):
        list(run_in_processes(math.sqrt, [4, -1], 2))
