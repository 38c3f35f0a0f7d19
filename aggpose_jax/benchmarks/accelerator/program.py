"""The part "program": one training step of AggPose-L, its costs, and where its time goes."""

import statistics
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aggpose_jax.benchmarks import timing
from aggpose_jax.benchmarks.accelerator import hlo, trace
from aggpose_jax.benchmarks.accelerator.experiments import INFANT_L, make_trainer
from aggpose_jax.benchmarks.accelerator.markdown import share, size, table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, Setting, one_line
from aggpose_jax.benchmarks.programs import compile_program
from aggpose_jax.runtime import sharding
from aggpose_jax.training.trainer import Trainer

DTYPE = "bfloat16"
RECORDS = 10000  # on which only the schedule of the learning rate depends
TRACED = 3  # steps
TINY = {"name": "mit_pose_tiny", "input_size": (64, 64), "batch_size": 2}  # compiles fastest
ROUNDS, TINY_ROUNDS = 9, 2


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns the times, costs and shares of a training step, and the summary of a trace of it."""
    trainer = trainer_of_step(TINY if setting.tiny else {})
    batch = sharding.put_batch(random_batch(trainer), trainer.mesh)
    state, count = trainer.new_state(), len(batch["image"])
    program, cost = compile_program(trainer.step, state, batch)
    holder = [state]

    def step() -> None:
        holder[0], *_ = program(holder[0], batch)
        jax.block_until_ready(holder[0])

    times = timing.in_turn({"": step}, TINY_ROUNDS if setting.tiny else ROUNDS)[""]
    seconds = statistics.median(times)
    text = program.as_text()  # type: ignore[attr-defined]  # A compiled program is more than a function.
    moved, moved_bytes = hlo.copies(text)
    memory = jax.devices()[0].memory_stats() or {}
    content: Content = {
        "network": trainer.config.model.name, "dtype": DTYPE, "batch": count, "times": times,
        "median_seconds": seconds, "images_per_second": count / seconds,
        "operations": cost.operations, "bytes": cost.traffic, "memory": cost.memory,
        "peak_memory": memory.get("peak_bytes_in_use"), "compile_seconds": cost.compile_seconds,
        "copies": moved, "copied_bytes": moved_bytes,
    }  # fmt: skip
    if roofs := earlier.get("roofs"):
        content["matrix_share"] = cost.operations / seconds / roofs["matrix"][DTYPE]
        content["copy_share"] = cost.traffic / seconds / roofs["copy"]
    for item in budget.items(["trace of the step"]):
        try:
            content["trace"] = _trace(setting, step, {name: kind for name, (_, kind) in hlo.executed(text).items()})
        except Exception as error:  # Not everybody may trace a GPU; the times are of use without a trace.
            budget.left_out.append(f"{item}: {one_line(error)}")
    return content


def trainer_of_step(changes: Mapping[str, Any]) -> Trainer:
    """Returns the trainer of AggPose-L with some keys of the experiment changed, see `make_trainer`."""
    return make_trainer(INFANT_L, RECORDS, DTYPE, **changes)


def random_batch(trainer: Trainer) -> dict[str, np.ndarray]:
    """Returns a batch of noise with keypoints, on whose content the time of a step does not depend."""
    rng = np.random.default_rng(0)
    count, codec = trainer.config.batch_size, trainer.task.pose_model.codec
    height, width = codec.input_size
    keypoints = rng.uniform(0, 1, (count, len(trainer.task.pose_model.keypoint_set), 2)) * [width - 1, height - 1]
    return {
        "image": rng.integers(0, 256, (count, height, width, 3), np.uint8),
        "keypoints": keypoints.astype(np.float32),
        "weight": np.ones(keypoints.shape[:2], np.float32),
    }


def _trace(setting: Setting, step: Any, kinds: Mapping[str, str]) -> Content:
    folder = setting.folder / "trace"
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(str(folder), profiler_options=options):
        for _ in range(TRACED):
            step()
    summary = trace.summarise(trace.read(folder), kinds, TRACED)
    if not summary["launches"]:
        raise ValueError("it shows no operation of the device")
    return summary


def describe(content: Content) -> list[str]:
    """Returns a table of the step and one of the kinds of its operations."""
    seconds = content["median_seconds"]
    rows = [
        ("time of a step", f"{1e3 * seconds:.1f} ms"),
        ("images/s", f"{content['images_per_second']:.1f}"),
        ("matrix products and convolutions", f"{content['operations'] / 1e9:.1f} GFLOP"),
        ("their share of the matrix rate", share(content.get("matrix_share"))),
        ("bytes that its operations read and write, by XLA's estimate", size(content["bytes"])),
        ("their share of the copy bandwidth", share(content.get("copy_share"))),
        ("memory of arguments, results and temporary arrays", size(content["memory"])),
        ("highest memory of the process so far", size(content["peak_memory"]) or "not reported"),
        ("copies and transposes in the program, a loop's body counted once", str(content["copies"])),
        ("bytes of their results", size(content["copied_bytes"])),
        ("compiled, or read from the cache of a run before, in", f"{content['compile_seconds']:.1f} s"),
    ]
    head = f"{content['network']} in {content['dtype']}, {content['batch']} images"
    return [*table((head, ""), rows), *(_describe_trace(content["trace"]) if "trace" in content else [])]


def _describe_trace(summary: Content) -> list[str]:
    times = summary["milliseconds"]
    total = sum(times.values()) or 1.0
    rows = [(kind, f"{time:.2f}", share(time / total)) for kind, time in times.items()]
    return [
        "",
        f"Traced: {summary['launches']:.0f} operations a step; the device was idle for "
        f"{share(summary['idle_share'])} of the time between the first and the last of {TRACED} steps.",
        "",
        *table(("operations", "ms a step", "share"), rows),
    ]
