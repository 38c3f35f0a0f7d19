"""How fast the parts run on this machine.

python -m aggpose_jax.benchmark data --config FILE [--config.key=value …]
python -m aggpose_jax.benchmark mae [--networks b2,b5] [--batch 8]
"""

import functools
import os
import pathlib
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from absl import flags, logging

from aggpose_jax import cli, networks
from aggpose_jax.config import read_experiment
from aggpose_jax.data import images, transforms
from aggpose_jax.errors import UserError
from aggpose_jax.networks import mae, mask_patches, mit
from aggpose_jax.runtime import compilation
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task

RECORDS = flags.DEFINE_integer("records", 512, "Records of each measurement.", lower_bound=64)
WORKERS = flags.DEFINE_list("workers", ["0"], "Numbers of worker processes to try with the whole pipeline.")
NETWORKS = flags.DEFINE_list("networks", ["b2", "b5"], "Mix Transformers whose masked encoding is measured.")
BATCH = flags.DEFINE_integer("batch", 8, "Images of a step of the masked autoencoder.", lower_bound=1)
MASKED_SIZE, MASK_RATIO = (256, 192), 0.75
ROUNDS = 5  # of all measurements, of which the median counts: a machine with other users changes from second to second
IN_MEMORY = 32  # decoded images
BOUND = "decode, warp"


class Speed(NamedTuple):
    """Samples a second, and the time of processors that each took in this process, in seconds."""

    rate: float
    cpu: float


def measure(work: Callable[[], None], samples: int) -> Speed:
    """The speed of something that makes so many samples."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return Speed(samples / (time.perf_counter() - started), (time.process_time() - cpu) / samples)


def loop_speed(part: Callable[[int], object], count: int, threads: int) -> Speed:
    """The speed of a part of a sample: each thread calls it on its share of the numbers below count."""

    def loop(first: int) -> None:
        for number in range(first, count, threads):
            part(number)

    with ThreadPoolExecutor(threads) as pool:
        return measure(lambda: list(pool.map(loop, range(threads))), count)


def parts(task, count: int) -> dict[str, Callable[[int], object]]:
    """The parts of a sample by name, each a function of the number of a record, with what it needs in memory.

    The last is the bare loop of decoding and warping: what bounds the pipeline.
    """
    source, config = task.train_source, task.config
    input_size = tuple(config.input_size)
    rng = np.random.default_rng(config.seed)
    chosen = np.resize(rng.permutation(len(source)), count).tolist()

    def read(number: int):
        image = source[chosen[number]]["image"]
        return pathlib.Path(image).read_bytes() if isinstance(image, str) else image

    def decode(number: int) -> np.ndarray:
        return encoded[number] if isinstance(encoded[number], np.ndarray) else images.decode(encoded[number])

    def view(number: int) -> np.ndarray:
        record = source[chosen[number]]
        drawn = transforms.draw_view(record, task.keypoint_set, input_size[1] / input_size[0], augmentation, rng)
        return transforms.view_transform(drawn, decode(number).shape[1], input_size, config.crop_convention)

    def warp(number: int):
        return transforms.warp(decoded[number % len(decoded)], views[number], input_size)

    def decode_and_warp(number: int):
        return transforms.warp(decode(number), views[number], input_size)

    augmentation = transforms.Augmentation(**config.augmentation.to_dict())
    encoded = [read(number) for number in range(count)]
    decoded = [decode(number) for number in range(min(count, IN_MEMORY))]
    views = [view(number) for number in range(count)]
    return {"read": read, "decode": decode, "warp": warp, BOUND: decode_and_warp}


def pipeline_speed(task, count: int, threads: int, workers: int) -> Speed:
    """The speed of the training pipeline, after its first batches."""
    task.config.threads, task.config.workers = threads, workers
    batches = task.train_batches(0)

    def take(number: int) -> None:
        for _ in range(number):
            next(batches)

    take(2 + 2 * threads * max(workers, 1))  # what is made ahead of time
    number = max(count // task.config.batch_size, 4)
    speed = measure(lambda: take(number), number * task.config.batch_size)
    batches.close()
    return speed


def benchmark_data(config, count: int, workers: list[int]) -> str:
    """A table by threads of the parts of a sample and of the whole pipeline, with its share of the bound.

    Its columns: samples a second, milliseconds of a processor a sample, and the share of the bound with the same
    threads, a median of the shares in each round.
    """
    task = make_task(config)
    functions = parts(task, count)
    found = defaultdict(list)
    for _ in range(ROUNDS):
        for threads in sorted({1, os.cpu_count() or 1}):
            for name, part in functions.items():
                found[f"{name}, {threads} threads"].append(loop_speed(part, count, threads))
            for processes in workers:
                name = f"pipeline, {threads} threads, {processes} workers"
                found[name].append(pipeline_speed(task, count, threads, processes))
    rows = {}
    for name, speeds in found.items():
        rows[name] = {"images/s": np.median([speed.rate for speed in speeds])}
        if not name.endswith(" workers") or name.endswith(" 0 workers"):
            rows[name]["CPU ms"] = 1e3 * np.median([speed.cpu for speed in speeds])
        if name.startswith("pipeline"):
            bounds = found[f"{BOUND}, {name.split(', ')[1]}"]
            rows[name]["of bound"] = np.median([s.rate / b.rate for s, b in zip(speeds, bounds, strict=True)])
    return table(rows, ["images/s", "CPU ms", "of bound"])


def masked_steps(network: str, batch: int) -> dict[str, Callable[[], object]]:
    """Forward and backward passes by name: a full encode, the masked one in both forms, and the whole autoencoder."""
    rng = jax.random.key(0)
    images = jax.random.normal(rng, (batch, *MASKED_SIZE, 3))
    count = MASKED_SIZE[0] // mask_patches.PATCH * (MASKED_SIZE[1] // mask_patches.PATCH)
    kept = mask_patches.draw_visible(rng, batch, count, round((1 - MASK_RATIO) * count))
    model = networks.build(f"mae_{network}")
    params = jax.jit(model.init)(rng, images[:1], kept[:1])["params"]
    encoder = mit.MixTransformer(model.widths, model.depths, 0.0)

    def apply(params, images, train, grid=mit.FULL):
        return encoder.apply({"params": params["encoder"]}, images, train, grid, rngs={"drop_path": rng})

    def total(levels):
        return sum((level**3).sum() for level in levels)  # the sum of what is normalised never changes

    def encode(dense):
        return lambda params: total(mae.encode_visible(functools.partial(apply, params), images, kept, True, dense))

    losses = {
        "full encode": lambda params: total(apply(params, images, True)),
        "dense encode": encode(dense=True),
        "gathered encode": encode(dense=False),
        "whole, gathered": lambda params: mae.masked_loss(
            model.apply({"params": params}, images, kept, True, rngs={"drop_path": rng}), images, kept
        ),
    }
    return {name: functools.partial(jax.jit(jax.grad(loss)), params) for name, loss in losses.items()}


def benchmark_mae(networks: list[str], batch: int) -> str:
    """A table of the time of a step, with its share of a full encode, a median of the shares in each round."""
    rows = {}
    for network in networks:
        if network not in mit.VARIANTS:
            raise UserError(f"--networks: {network} is no Mix Transformer; known are {', '.join(mit.VARIANTS)}")
        steps, times = masked_steps(network, batch), defaultdict(list)
        for _ in range(ROUNDS):
            for name, step in steps.items():
                jax.block_until_ready(step())  # compiles; later takes from the system the memory that it needs
                started = time.perf_counter()
                jax.block_until_ready(step())
                times[name].append(time.perf_counter() - started)
        for name, own in times.items():
            share = np.median(np.divide(own, times["full encode"]))
            rows[f"{network}, {name}"] = {"ms": 1e3 * np.median(own), "of full": share}
    return table(rows, ["ms", "of full"])


def main(arguments):
    """Measures what the command line names."""
    if arguments[1:] not in (["data"], ["mae"]):
        raise UserError(f"benchmark: {' '.join(arguments[1:]) or 'nothing'} cannot be measured; say data or mae")
    logging.set_verbosity(logging.WARNING)
    if arguments[1:] == ["mae"]:
        compilation.enable_compilation_cache()
        print(benchmark_mae(NETWORKS.value, BATCH.value))
        return
    config = read_experiment(cli.CONFIG.value, cli.OVERRIDES.value)
    print(benchmark_data(config, RECORDS.value, [int(number) for number in WORKERS.value]))


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(main, words=True)
