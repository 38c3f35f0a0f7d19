"""Runs jobs that make data, such as shards, in several processes."""

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import cv2

from aggpose_jax.errors import UserError
from aggpose_jax.runtime.worker_processes import exit_with_parent

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_in_processes(function: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    """Yields the results of a function of each job in the order in which they end; one process runs them in order.

    Raises:
      UserError: a worker process was killed.
    """
    if processes == 1:
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, _start_worker) as pool:
        try:
            for future in concurrent.futures.as_completed([pool.submit(function, job) for job in jobs]):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed, perhaps because memory ran out; rerun with fewer --processes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(0)  # OpenCV needs one thread per process only, because there are as many processes as cores.
    exit_with_parent()
