"""Measures the data pipeline of an experiment and each of its steps."""

import os
import pathlib
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from aggpose_jax.data import images, transforms, views
from aggpose_jax.errors import UserError
from aggpose_jax.training.tasks import make_task

ROUNDS = 5  # All measurements are repeated and the median counts, because the speed of a shared machine varies.
IN_MEMORY = 32  # number of decoded images that are kept in memory to measure warping alone
BOUND = "decode, warp"  # name of the measured function whose speed is an upper bound for the data pipeline
COLUMNS = ("images/s", "CPU ms", "of bound")


class Speed(NamedTuple):
    """A measured speed: samples per second (`rate`) and CPU time of this process per sample in seconds (`cpu`)."""

    rate: float
    cpu: float


def speed_of(work: Callable[[], object], samples: int) -> Speed:
    """Calls a function that makes `samples` samples, such as image crops, and returns its speed."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return Speed(samples / (time.perf_counter() - start), (time.process_time() - cpu) / samples)


def loop_speed(part: Callable[[int], object], count: int, threads: int) -> Speed:
    """Returns the speed of `part` when `threads` threads call it on the numbers below `count`, each number once."""

    def loop(first: int) -> None:
        for number in range(first, count, threads):
            part(number)

    with ThreadPoolExecutor(threads) as pool:
        return speed_of(lambda: list(pool.map(loop, range(threads))), count)


def parts(task, count: int) -> dict[str, Callable[[int], object]]:
    """Returns the steps that make a training sample, such as "decode", as functions of the number of a record, by name.

    The input of every function is in memory before it is measured, except that of "read". The last function, BOUND,
    decodes and warps without anything else; its speed is an upper bound for the pipeline.
    """
    source, config = task.train_source, task.config
    input_size = tuple(config.input_size)
    rng = np.random.default_rng(config.seed)
    chosen = np.resize(rng.permutation(len(source)), count).tolist()

    def read(number: int):
        image = source[chosen[number]]["image"]
        return pathlib.Path(image).read_bytes() if isinstance(image, str) else image

    def decode(number: int) -> np.ndarray:
        image = encoded[number]
        pixels = image if isinstance(image, np.ndarray) else images.decode(image)
        if pixels is None:
            raise UserError(f"the image of record {chosen[number]} is damaged; replace the image, or leave it out")
        return pixels

    def view(number: int) -> np.ndarray:
        record = source[chosen[number]]
        drawn = views.draw_view(
            record, task.keypoint_set, input_size[1] / input_size[0], augmentation, rng, config.upright, protocol
        )
        return views.view_transform(drawn, decode(number).shape[1], input_size, protocol.convention)

    def warp(number: int):
        return transforms.warp(decoded[number % len(decoded)], drawn_views[number], input_size)

    def decode_and_warp(number: int):
        return transforms.warp(decode(number), drawn_views[number], input_size)

    augmentation, protocol = views.Augmentation(**config.augmentation.to_dict()), task.pose_model.protocol
    encoded = [read(number) for number in range(count)]
    decoded = [decode(number) for number in range(min(count, IN_MEMORY))]
    drawn_views = [view(number) for number in range(count)]
    return {"read": read, "decode": decode, "warp": warp, BOUND: decode_and_warp}


def pipeline_speed(task, count: int, threads: int, workers: int) -> Speed:
    """Returns the speed of a task's training pipeline, without the batches that it made before the measurement."""
    task.config.threads, task.config.workers = threads, workers
    batches = task.train_batches(0)

    def take(number: int) -> None:
        for _ in range(number):
            next(batches)

    take(2 + 2 * threads * max(workers, 1))  # These batches may have been made ahead of time, before the measurement.
    number = max(count // task.config.batch_size, 4)
    speed = speed_of(lambda: take(number), number * task.config.batch_size)
    batches.close()
    return speed


def measure(config, count: int, workers: list[int]) -> dict[str, dict[str, float]]:
    """Measures each step of a sample and the pipeline, with one thread and one per CPU.

    Returns:
      For each its samples per second, milliseconds of CPU time per sample, and, for the pipeline, its speed as a
      fraction of the bound with the same number of threads (`COLUMNS`). Each number is the median over the rounds.

    Args:
      config: the configuration of the task whose data is read.
      count: number of records in each measurement.
      workers: numbers of worker processes with which the pipeline is measured; 0 makes batches in this process.
    """
    task = make_task(config)
    functions = parts(task, count)
    measured = defaultdict(list)
    for _ in range(ROUNDS):
        for threads in sorted({1, os.cpu_count() or 1}):
            for name, part in functions.items():
                measured[f"{name}, {threads} threads"].append(loop_speed(part, count, threads))
            for processes in workers:
                name = f"pipeline, {threads} threads, {processes} workers"
                measured[name].append(pipeline_speed(task, count, threads, processes))
    rows: dict[str, dict[str, float]] = {}
    for name, speeds in measured.items():
        rows[name] = {"images/s": float(np.median([speed.rate for speed in speeds]))}
        if not name.endswith(" workers") or name.endswith(" 0 workers"):
            rows[name]["CPU ms"] = 1e3 * float(np.median([speed.cpu for speed in speeds]))
        if name.startswith("pipeline"):
            bounds = measured[f"{BOUND}, {name.split(', ')[1]}"]
            ratios = [s.rate / b.rate for s, b in zip(speeds, bounds, strict=True)]
            rows[name]["of bound"] = float(np.median(ratios))
    return rows
