"""Functions that write the run folder of a tiny untrained pose network, and an experiment file for it."""

import pathlib

import jax
import numpy as np

from aggpose_jax.config import debug_variant, default_config, save_config
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task


def write_run(folder: pathlib.Path):
    """Writes the run of a tiny network with 21 keypoints and random parameters; returns its task and variables."""
    config = debug_variant(default_config())
    config.model.name = "mit_pose_tiny"
    config.data, config.keypoint_set, config.input_size, config.eval_batch_size = "synthetic", "infant_21", (64, 64), 7
    config.nms_threshold, config.synthetic_eval = 0.0, 20
    save_config(config, folder / "config.json")
    task = make_task(config)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    variables = jax.tree.map(lambda a: rng.normal(0, 0.3, a.shape).astype(np.float32), shapes)
    with checkpoint.open_manager(folder) as manager:
        checkpoint.save(manager, 3, variables)
    return task, variables


def write_experiment(folder: pathlib.Path) -> pathlib.Path:
    """Writes an experiment file that loads the configuration of the run in a folder; returns the path of the file."""
    file = folder / "experiment.py"
    file.write_text(
        "from aggpose_jax.config import load_config\nimport pathlib\n"
        f"def get_config(arg=''):\n    return load_config(pathlib.Path({str(folder / 'config.json')!r}))\n"
    )
    return file
