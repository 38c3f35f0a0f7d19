"""The part "training": the demo network, trained for the same steps in bfloat16 and in float32 on synthetic infants."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from aggpose_jax.benchmarks.accelerator.experiments import SYNTHETIC, make_trainer
from aggpose_jax.benchmarks.accelerator.markdown import share, table
from aggpose_jax.benchmarks.accelerator.part import Budget, Content, LeftOut, Setting
from aggpose_jax.runtime import sharding
from aggpose_jax.training.pose_objective import NEAR
from aggpose_jax.training.trainer import Trainer

DTYPES = ("bfloat16", "float32")
STEPS, CHUNK = 3000, 50  # steps at most, and in turn for each dtype
TINY_STEPS, TINY_CHUNK = 4, 2
TINY = {"name": "mit_pose_tiny"}  # compiles fastest
BATCH = ("image", "keypoints", "weight", "absent")  # arrays that a training step reads

Arrays = dict[str, np.ndarray]


class Run:
    """The training of one variant.

    Args:
      trainer: its trainer.
      crops: the training crops, arrays [N, …].
    """

    def __init__(self, trainer: Trainer, crops: Arrays):
        self.trainer, self.state = trainer, trainer.new_state()
        self._batches = batches(crops, trainer.config.batch_size, trainer.config.seed)
        self.seconds, self.images, self.loss = 0.0, 0, float("nan")

    def train(self, steps: int, counted: bool = True) -> None:
        """Trains for some steps; `counted` is false for those that compile the program."""
        start = time.perf_counter()
        for _ in range(steps):
            batch = sharding.put_batch(next(self._batches), self.trainer.mesh)
            self.state, metrics, _ = self.trainer.step(self.state, batch)
        self.loss = float(jax.block_until_ready(metrics["loss"]))
        if counted:
            self.seconds += time.perf_counter() - start
            self.images += steps * self.trainer.config.batch_size

    def speed(self) -> dict[str, float]:
        """Returns the images per second of the counted steps, 0 if there are none, and the loss of the last step."""
        return {"images_per_second": self.images / self.seconds if self.images else 0.0, "loss": self.loss}


def measure(setting: Setting, budget: Budget, earlier: Mapping[str, Content]) -> Content:
    """Returns "rows", for each dtype the speed and the errors on held-out crops, and the number of "steps".

    Raises:
      LeftOut: there is no file of crops.
    """
    train, test = read_crops(setting)
    total, chunk, changes = (TINY_STEPS, TINY_CHUNK, TINY) if setting.tiny else (STEPS, CHUNK, {})
    trainers = {dtype: make_trainer(SYNTHETIC, len(train["image"]), dtype, **{**changes, "steps": total})
                for dtype in DTYPES}  # fmt: skip
    runs = {dtype: Run(trainer, train) for dtype, trainer in trainers.items()}
    with ThreadPoolExecutor(len(runs)) as pool:  # Compiling does not hold the lock of the interpreter.
        list(pool.map(lambda run: run.train(1, counted=False), runs.values()))
    steps = 1
    # In turn, so that both have done the same steps when the time is over.
    for end in budget.items(range(chunk, total + 1, chunk), lambda end: f"steps up to {end}"):
        for run in runs.values():
            run.train(end - steps)
        steps = end
    budget.left_out[:] = [f"{len(budget.left_out) * chunk} of {total} steps"] if budget.left_out else []
    rows = [
        {
            "dtype": dtype,
            "images_per_second": run.images / max(run.seconds, 1e-9),
            "loss": run.loss,
            **errors(run, test),
        }
        for dtype, run in runs.items()
    ]
    return {"network": trainers[DTYPES[0]].config.model.name, "steps": steps, "crops": len(train["image"]),
            "held_out": len(test["image"]), "rows": rows}  # fmt: skip


def read_crops(setting: Setting) -> tuple[Arrays, Arrays]:
    """Returns the training and the held-out crops of the file that `benchmarks.accelerator_crops` wrote.

    Raises:
      LeftOut: there is no such file.
    """
    if not setting.crops.exists():
        raise LeftOut(
            f"there is no {setting.crops}; write it with python -m aggpose_jax.benchmarks.accelerator_crops, copy it "
            "here and give it as --crops"
        )
    with np.load(setting.crops) as arrays:
        splits = [{k.removeprefix(split): v for k, v in arrays.items() if k.startswith(split)} for split in SPLITS]
    return splits[0], splits[1]


SPLITS = ("train_", "test_")  # prefixes of the names of arrays in the file


def batches(crops: Arrays, size: int, seed: int) -> Iterator[Arrays]:
    """Yields batches of all crops in random order, again and again."""
    rng = np.random.default_rng(seed)
    arrays = {name: crops[name] for name in BATCH if name in crops}
    while True:
        order = rng.permutation(len(crops["image"]))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield {name: array[chosen] for name, array in arrays.items()}


def errors(run: Run, crops: Arrays) -> dict[str, float]:
    """Returns the median error in pixels of the crop, and PCK, the fraction of keypoints within NEAR of its height."""
    model: Any = run.trainer.task.pose_model
    identity = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (len(crops["image"]), 2, 3))
    keypoints, _ = model.estimate(run.state.eval_variables, crops["image"], identity)
    distances = np.linalg.norm(np.asarray(keypoints)[..., :2] - crops["keypoints"], axis=-1)[crops["weight"] > 0]
    return {
        "median_error": float(np.median(distances)),
        "PCK": float((distances < NEAR * model.codec.input_size[0]).mean()),
    }


def describe(content: Content) -> list[str]:
    """Returns both trainings as a table."""
    rows = [
        (row["dtype"], f"{row['images_per_second']:.0f}", f"{row['loss']:.2e}", f"{row['median_error']:.2f}",
         share(row["PCK"]))
        for row in content["rows"]
    ]  # fmt: skip
    return [
        f"{content['network']}, {content['steps']} steps on {content['crops']} crops of synthetic infants with "
        f"the same seed and order, then {content['held_out']} held-out crops.",
        "",
        *table(("training in", "images/s", "last loss", "median error, pixels", f"PCK@{NEAR}"), rows),
    ]
