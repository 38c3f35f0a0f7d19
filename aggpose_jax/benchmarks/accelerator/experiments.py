"""The two experiments of the report as plain values, for machines without the library of the configuration.

They are the keys of `infant_l`, with a smaller batch, and `synthetic` of configs/ that a training step reads.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.training.pose_objective import PoseObjective
from aggpose_jax.training.trainer import Trainer


class Experiment(dict):
    """A dict whose keys are also attributes, as those of a configuration are."""

    def __getattr__(self, key: str) -> Any:
        if key not in self:
            raise AttributeError(key)
        return self[key]


DEFAULTS: dict[str, Any] = {
    **{"task": "pose", "seed": 0, "keypoint_set": "infant_21"},
    **{"protocol": "aggpose", "crop_convention": "", "decoder": ""},
    **{"blur_kernel": 11, "blur_sigma": 2.0, "rounded_targets": False},
    **{"color_jitter": 0.5, "hardest_keypoints": 0, "flip_test": True},
    **{"lowest_rate": 0.0, "warmup_share": 0.0, "layer_decay": 1.0, "accumulate": 1},
    **{"betas": (0.9, 0.999), "weight_decay": 0.01, "decay": (".*",), "freeze": (), "clip_norm": 0.0},
    "nonfinite": "stop",
}
INFANT_L = DEFAULTS | {
    **{"input_size": (256, 192), "sigma": 2.0, "steps": 0, "epochs": 100.0, "learning_rate": 1e-4},
    **{"schedule": "step", "decay_epochs": (50.0, 80.0), "warmup_epochs": 0.0},
    **{"adam_epsilon": 1e-8, "average_decay": 0.0, "batch_size": 32},
    "model": {"name": "aggpose_l", "drop_path": 0.1},
}
SYNTHETIC = DEFAULTS | {
    **{"input_size": (128, 96), "sigma": 1.0, "steps": 6000, "epochs": 210.0, "learning_rate": 1.5e-3},
    **{"schedule": "cosine", "decay_epochs": (170.0, 200.0), "warmup_epochs": 0.2},
    **{"adam_epsilon": 1e-12, "average_decay": 0.998, "batch_size": 8},
    "model": {"name": "aggpose_demo", "drop_path": 0.0},
}


class CropTask:
    """As much of a `task.Task` as a training step needs, without data."""

    def __init__(self, pose_model: PoseModel, experiment: Experiment, steps_per_epoch: float):
        self.pose_model, self.init, self.steps_per_epoch = pose_model, pose_model.init, steps_per_epoch
        self.loss = PoseObjective(pose_model, experiment.color_jitter, experiment.hardest_keypoints)


def make_trainer(values: dict[str, Any], records: int, dtype: str, **changes: Any) -> Trainer:
    """Returns the trainer of an experiment for the first device.

    Args:
      values: INFANT_L or SYNTHETIC.
      records: number of training records, on which the schedule depends.
      dtype: type of activations and matrix products.
      changes: keys of the experiment with other values; `name` is that of the network.
    """
    model = values["model"] | {"dtype": dtype, "name": changes.pop("name", values["model"]["name"])}
    experiment = Experiment(values | changes | {"model": Experiment(model)})
    task = CropTask(PoseModel.from_config(experiment), experiment, records / experiment.batch_size)
    return Trainer(task, experiment, _first_device())


def _first_device() -> Mesh:
    """Returns a mesh like that of `sharding.make_mesh`, of the first device only."""
    device = np.array(jax.devices()[:1]).reshape(1, 1)
    return Mesh(device, ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto))
