"""The student: the given network, trained further on pseudo-labels under stronger augmentation."""

import pathlib
from collections.abc import Sequence

import jax

from aggpose_jax.config import Config, change, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import checkpoints
from aggpose_jax.estimation.restore import restore
from aggpose_jax.runtime import sharding
from aggpose_jax.training import loop
from aggpose_jax.training.tasks import make_task

# Keys that belong to the network and to what it expects; the student has those of the given network.
NETWORK = (
    "keypoint_set", "input_size", "upright", "protocol", "crop_convention", "decoder", "sigma", "rounded_targets",
    "blur_kernel", "blur_sigma", "model", "flip_test",
)  # fmt: skip
GIVEN = (  # keys that adapt sets
    "task", "data", "data_dir", "train_split", "eval_split", "detections", "category", "init_from",
)  # fmt: skip


def check_overrides(overrides: Sequence[str]) -> None:
    """Raises a UserError if a KEY=VALUE change is of a key that adaptation sets itself."""
    for override in overrides:
        if (key := override.partition("=")[0]) in GIVEN:
            raise UserError(f"--config.{key}: adapt sets this key itself; leave it out")


def make_config(network: Config, data: pathlib.Path, init_from: str, overrides: Sequence[str]) -> Config:
    """Returns the configuration of a student.

    Args:
      network: configuration of the given network.
      data: COCO data set with the splits train and val.
      init_from: names the given network.
      overrides: KEY=VALUE changes.
    """
    config = default_config()
    with config.unlocked():
        for key in NETWORK:
            config[key] = network[key]
    config.data, config.data_dir, config.train_split, config.eval_split = "coco", str(data), "train", "val"
    config.init_from = init_from
    config.nms_threshold = 0.0  # One infant is labelled in a frame.

    # The task must be harder than that of the teacher, which labels upright crops at the scale of the tracker.
    config.augmentation.rotation, config.augmentation.rotation_probability = 40.0, 0.8
    config.augmentation.scale = 0.35
    config.augmentation.cutout = 0.5
    config.augmentation.shift = 0.1
    config.color_jitter = 0.8

    config.batch_size = 16
    config.steps = 1500
    config.learning_rate = 5e-4
    config.schedule = "cosine"
    config.warmup_share = 0.05
    config.adam_epsilon = 1e-12  # The gradients are as small as the default, see configs/synthetic.py.
    config.average_decay = 0.998  # The mean teacher (Tarvainen and Valpola 2017): 500 steps are most of the average.

    config.eval_epochs = 1e6  # Only the end is evaluated: a choice by agreement would prefer what changed least.
    return change(config, overrides)


def train(config: Config, workdir: pathlib.Path) -> None:
    """Trains a student, or resumes its training; does nothing if it is finished."""
    if not config.steps or checkpoints.last_finished(workdir) != config.steps:
        loop.train(config, workdir)


def evaluate(checkpoint: pathlib.Path, experiment: str | None, overrides: Sequence[str]) -> float:
    """Returns the AP of a network on the evaluation split of its configuration; see `restore` for the arguments."""
    config, _, variables, _ = restore(checkpoint, experiment, overrides)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    evaluation = make_task(config).evaluate(jax.device_put(variables, sharding.replicated(mesh)), mesh)
    return float(evaluation.metrics["AP"])
