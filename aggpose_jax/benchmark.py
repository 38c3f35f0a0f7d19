"""How fast the parts run on this machine: python -m aggpose_jax.benchmark data --config FILE [--config.key=value …]."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from absl import flags, logging

from aggpose_jax import command_line
from aggpose_jax.data import transforms
from aggpose_jax.data.images import read_image
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.training.experiment import read_experiment
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task

CONFIG = flags.DEFINE_string("config", None, "Experiment: FILE or FILE:ARGUMENT.")
RECORDS = flags.DEFINE_integer("records", 512, "Records of each measurement.", lower_bound=64)
WORKERS = flags.DEFINE_list("workers", ["0"], "Numbers of worker processes to try with the whole pipeline.")


def rate(function: Callable, items: Sequence, threads: int) -> float:
    """Calls a second of a function over items, in a pool of threads that has made some calls already."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, items[:threads]))
        started = time.perf_counter()
        for _ in pool.map(function, items):
            pass
        return len(items) / (time.perf_counter() - started)


def parts(task, count: int) -> dict[str, Callable[[int], object]]:
    """The steps of a sample by name, each a function of the number of a record; a later one does the former's work."""
    source = task.train_source
    input_size = tuple(task.config.input_size)

    def record(number: int) -> dict:
        return source[number % len(source)]

    records = [record(number) for number in range(min(count, len(source)))]
    views = [transforms.View(*geometry.crop_region(r["box"], input_size[1] / input_size[0])) for r in records]

    def decode(number: int):
        return read_image(records[number % len(records)]["image"])

    def warp(number: int):
        image = decode(number)
        transform = transforms.view_transform(views[number % len(views)], image.shape[1], input_size, "unbiased")
        return transforms.warp(image, transform, input_size)

    return {"record": record, "record, decode": lambda n: (record(n), decode(n)), "decode, warp": warp}


def pipeline_rate(task, count: int, threads: int, workers: int) -> float:
    """Samples a second of the training pipeline, after its first batches."""
    task.config.threads, task.config.workers = threads, workers
    size = task.config.batch_size
    batches = task.train_batches(0)
    for _ in range(2 + 2 * threads):  # what is made ahead of time
        next(batches)
    number = max(count // size, 4)
    started = time.perf_counter()
    for _ in range(number):
        next(batches)
    seconds = time.perf_counter() - started
    batches.close()
    return number * size / seconds


def benchmark_data(config, count: int, workers: list[int]) -> str:
    """A table of samples a second by threads: parts of a sample, the bare loop of decoding and warping that bounds the
    pipeline, and the pipeline with its share of that bound."""
    task = make_task(config)
    rows = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        rates = {name: rate(part, range(count), threads) for name, part in parts(task, count).items()}
        bound = rates["decode, warp"]
        for name, value in rates.items():
            rows[f"{name}, {threads} threads"] = {"images/s": value, "ms": 1e3 * threads / value}
        for processes in workers:
            value = pipeline_rate(task, count, threads, processes)
            name = f"pipeline, {threads} threads, {processes} workers"
            rows[name] = {"images/s": value, "ms": 1e3 * threads * max(processes, 1) / value, "of bound": value / bound}
    return table(rows, ["images/s", "ms", "of bound"])


def main(arguments):
    """Measures what the command line names."""
    if arguments[1:] != ["data"]:
        raise UserError(f"benchmark: {' '.join(arguments[1:]) or 'nothing'} cannot be measured; say data")
    logging.set_verbosity(logging.WARNING)
    config = read_experiment(CONFIG.value, command_line.OVERRIDES.value)
    print(benchmark_data(config, RECORDS.value, [int(number) for number in WORKERS.value]))


if __name__ == "__main__":
    command_line.run(main, words=True)
