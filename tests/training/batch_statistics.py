"""Trains a narrow SimpleBaseline on all devices and writes the results to a file.

batch_statistics.py FSDP FILE

FILE (.npz) contains the loss, gradient norms and batch statistics after one step in float32, and the parameters after
five steps in float64.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax.config import default_config
from aggpose_jax.networks.simple_baseline import SimpleBaseline
from aggpose_jax.runtime import sharding
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.losses import heatmap_mse
from aggpose_jax.training.trainer import Trainer

BATCH, SIDE, KEYPOINTS = 16, 64, 5


class Task:
    """A task that fits given heatmaps from given images."""

    steps_per_epoch = 1.0

    def __init__(self, dtype):
        self.dtype = dtype
        self.model = SimpleBaseline(KEYPOINTS, (1, 2, 1, 1), width=8, head_width=16, dtype=dtype)

    def init(self, rng):
        # Initialised in float32 for both dtypes, so that both start from the same numbers.
        variables = self.model.init(rng, jnp.zeros((1, SIDE, SIDE, 3)))
        return jax.tree.map(lambda a: a.astype(self.dtype), variables)

    def loss(self, variables, batch, rng):
        heatmaps, collections = apply_training(self.model, variables, batch["image"], drop_path_rng=rng)
        loss = heatmap_mse(heatmaps, batch["heatmaps"], jnp.ones((len(heatmaps), KEYPOINTS)), 0)
        return loss, ({"loss": loss}, collections)


def train(dtype, steps: int, mesh):
    """Returns the state and the metrics after a number of steps on one batch."""
    config = default_config()
    config.steps = 10
    trainer, rng = Trainer(Task(dtype), config, mesh), np.random.default_rng(0)
    images, heatmaps = rng.standard_normal((BATCH, SIDE, SIDE, 3)), rng.random((BATCH, SIDE // 4, SIDE // 4, KEYPOINTS))
    batch = sharding.put_batch({"image": images.astype(dtype), "heatmaps": heatmaps.astype(dtype)}, mesh)
    state = trainer.new_state()
    for _ in range(steps):
        state, metrics, _ = trainer.step(state, batch)
    return state, metrics


def arrays_by_path(kind: str, tree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        f"{kind}/{jax.tree_util.keystr(path, simple=True, separator='/')}": np.asarray(leaf) for path, leaf in leaves
    }


def main(fsdp: str, file: str) -> None:
    """Writes the arrays to `file`, named by their kind and path."""
    mesh = sharding.make_mesh(int(fsdp))
    state, metrics = train(jnp.float32, 1, mesh)
    mean_gradient = next(part.mu for part in jax.tree.leaves(state.opt_state, is_leaf=has_mean) if has_mean(part))
    results = {"loss": np.asarray(metrics["loss"])}
    results |= arrays_by_path("gradient norm", jax.tree.map(jnp.linalg.norm, jax.tree.map(jnp.ravel, mean_gradient)))
    results |= arrays_by_path("statistics", state.variables["batch_stats"])
    jax.config.update("jax_enable_x64", True)
    state, _ = train(jnp.float64, 5, mesh)
    np.savez(file, **results, **arrays_by_path("parameters", state.params))


def has_mean(part) -> bool:
    """Returns whether a state is that of Adam, whose mean after one step is the gradient times a constant."""
    return hasattr(part, "mu")


if __name__ == "__main__":
    main(*sys.argv[1:])
