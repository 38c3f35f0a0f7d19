"""The program `aggpose benchmark`: measures the data pipeline and the masked autoencoder on this machine."""

import argparse
import functools
import logging
import os
import pathlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from aggpose_jax import cli, networks
from aggpose_jax.config import read_experiment
from aggpose_jax.data import images, transforms, views
from aggpose_jax.errors import UserError
from aggpose_jax.networks import mae, mask_patches, mit
from aggpose_jax.runtime import compilation
from aggpose_jax.training.reporting import table
from aggpose_jax.training.tasks import make_task

MASKED_SIZE, MASK_RATIO = (256, 192), 0.75
ROUNDS = 5  # All measurements are repeated and the median counts, because the speed of a shared machine varies.
IN_MEMORY = 32  # number of decoded images that are kept in memory to measure warping alone
BOUND = "decode, warp"  # name of the measured function whose speed is an upper bound for the data pipeline


class Speed(NamedTuple):
    """A measured speed: samples per second (`rate`) and CPU time of this process per sample in seconds (`cpu`)."""

    rate: float
    cpu: float


def measure(work: Callable[[], object], samples: int) -> Speed:
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
        return measure(lambda: list(pool.map(loop, range(threads))), count)


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
    speed = measure(lambda: take(number), number * task.config.batch_size)
    batches.close()
    return speed


def benchmark_data(config, count: int, workers: list[int]) -> str:
    """Returns a table of the speed of each step of a sample and of the pipeline, with one thread and one per CPU.

    Its columns are samples per second, milliseconds of CPU time per sample, and the speed as a fraction of the bound
    with the same number of threads. Each number is the median over the rounds.

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
    rows = {}
    for name, speeds in measured.items():
        rows[name] = {"images/s": np.median([speed.rate for speed in speeds])}
        if not name.endswith(" workers") or name.endswith(" 0 workers"):
            rows[name]["CPU ms"] = 1e3 * np.median([speed.cpu for speed in speeds])
        if name.startswith("pipeline"):
            bounds = measured[f"{BOUND}, {name.split(', ')[1]}"]
            rows[name]["of bound"] = np.median([s.rate / b.rate for s, b in zip(speeds, bounds, strict=True)])
    return table(rows, ["images/s", "CPU ms", "of bound"])


def masked_steps(network: str, batch: int) -> dict[str, Callable[[], object]]:
    """Returns functions that run a forward and a backward pass, by name.

    They are an encode of the full image without a mask, the masked full encode, the encode of the visible patches only,
    and the complete autoencoder, which encodes the visible patches only.

    Args:
      network: name of a Mix Transformer, a key of `mit.VARIANTS`.
      batch: number of images.
    """
    rng = jax.random.key(0)
    images = jax.random.normal(rng, (batch, *MASKED_SIZE, 3))
    count = MASKED_SIZE[0] // mask_patches.PATCH * (MASKED_SIZE[1] // mask_patches.PATCH)
    visible = mask_patches.draw_visible(rng, batch, count, round((1 - MASK_RATIO) * count))
    model = networks.build(f"mae_{network}")
    params = jax.jit(model.init)(rng, images[:1], visible[:1])["params"]
    encoder = mit.MixTransformer(model.widths, model.depths, 0.0)

    def apply(params, images, train, grid=mit.FULL):
        return encoder.apply({"params": params["encoder"]}, images, train, grid, rngs={"drop_path": rng})

    def predict(params):
        return model.apply({"params": params}, images, visible, True, rngs={"drop_path": rng})

    def total(levels):
        # The features are normalised, so their plain sum would be constant and its gradient zero.
        return sum((level**3).sum() for level in levels)

    def encode(dense):
        return lambda params: total(mae.encode_visible(functools.partial(apply, params), images, visible, True, dense))

    losses = {
        "full encode": lambda params: total(apply(params, images, True)),
        "masked full encode": encode(dense=True),
        "visible-patch encode": encode(dense=False),
        "autoencoder": lambda params: mae.masked_loss(predict(params), images, visible),
    }
    return {name: functools.partial(jax.jit(jax.grad(loss)), params) for name, loss in losses.items()}


def benchmark_mae(networks: list[str], batch: int) -> str:
    """Returns a table of the time of each function of `masked_steps`, also as a fraction of the time of a full encode.

    Each number is the median over the rounds.

    Args:
      networks: names of Mix Transformers, keys of `mit.VARIANTS`.
      batch: number of images in a step.

    Raises:
      UserError: a name is unknown.
    """
    rows = {}
    for network in networks:
        if network not in mit.VARIANTS:
            raise UserError(f"--networks: {network} is not a Mix Transformer. Choose from {', '.join(mit.VARIANTS)}.")
        steps, times = masked_steps(network, batch), defaultdict(list)
        for _ in range(ROUNDS):
            for name, step in steps.items():
                # The first call compiles in the first round; in later rounds it allocates memory from the system again.
                jax.block_until_ready(step())
                start = time.perf_counter()
                jax.block_until_ready(step())
                times[name].append(time.perf_counter() - start)
        for name, seconds in times.items():
            ratio = np.median(np.divide(seconds, times["full encode"]))
            rows[f"{network}, {name}"] = {"ms": 1e3 * np.median(seconds), "of full": ratio}
    return table(rows, ["ms", "of full"])


def parser() -> cli.Parser:
    """Returns the parser of this program; `run` in its result is the function of the verb."""
    parser = cli.Parser(
        cli.command("benchmark"),
        "Measures the speed of the data pipeline or of masked pretraining on this machine.",
        ["data --config infant_l", "mae --networks b2 --batch 8"],
    )

    verb = parser.add_verb("data", _data, ["--config synthetic", "--config infant_l --workers 0,2"])
    verb.add_argument("--records", type=cli.count, default=512, metavar="N", help="records of each measurement (512)")
    verb.add_argument(
        "--workers", type=cli.counts, default=[0], metavar="N,…", help="numbers of worker processes to measure (0)"
    )
    verb.add_experiment("experiment with the data", required=True)

    verb = parser.add_verb("mae", _mae, ["", "--networks b2 --batch 4"])
    verb.add_argument("--networks", default="b2,b5", metavar="NAME,…", help="Mix Transformers to measure (b2,b5)")
    verb.add_argument("--batch", type=cli.count, default=8, metavar="N", help="images in a step (8)")
    return parser


def _data(arguments: argparse.Namespace) -> None:
    """Measures reading, decoding and warping, and the whole data pipeline of an experiment."""
    config = read_experiment(arguments.config, arguments.overrides)
    print(benchmark_data(config, arguments.records, arguments.workers))


def _mae(arguments: argparse.Namespace) -> None:
    """Measures a training step of masked pretraining beside a full encode."""
    print(benchmark_mae(arguments.networks.split(","), arguments.batch))


def main(arguments: argparse.Namespace) -> None:
    """Runs the verb of a command line and prints its table."""
    logging.getLogger("absl").setLevel(logging.WARNING)
    compilation.enable_compilation_cache()
    arguments.run(arguments)


if __name__ == "__main__":
    cli.restart_with_huge_pages()
    cli.run(parser, main, sys.argv[1:])
