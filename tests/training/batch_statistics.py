"""Training steps of a network on meshes of one and of eight devices, for comparison.

batch_statistics.py FILE

As a script, with eight devices, it writes to FILE (.npz) for a narrow SimpleBaseline on each mesh: the loss, gradient
norms and batch statistics of one step in float32, and the parameters after five steps in float64. The name of an array
starts with that of its mesh.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import AxisType, Mesh

from aggpose_jax import networks
from aggpose_jax.config import default_config
from aggpose_jax.runtime import sharding
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.losses import heatmap_mse
from aggpose_jax.training.trainer import Trainer

BATCH, KEYPOINTS = 16, 5
# Fewer layers than in any variant, which compile faster. The second one has a stacked bottleneck.
NARROW = {"depths": (1, 2), "width": 8, "head_width": 16}
NARROW_SIZE = (16, 16)


def make_meshes() -> dict[str, Mesh]:
    """Returns the meshes that must train alike, by name: data × fsdp. The first has one of the eight devices."""
    single = np.array(jax.devices()[:1]).reshape(1, 1)
    return {
        "1 × 1": Mesh(single, ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto)),
        "8 × 1": sharding.make_mesh(1),
        "4 × 2": sharding.make_mesh(2),
    }


class Task:
    """A task that fits given heatmaps from given images.

    Attributes:
      model: the network.
      variables: its initial variables.
    """

    steps_per_epoch = 1.0

    def __init__(self, model: nn.Module, variables: dict):
        self.model, self.variables = model, variables

    def init(self, rng):
        return self.variables

    def loss(self, variables, batch, rng):
        heatmaps, collections = apply_training(self.model, variables, batch["image"], drop_path_rng=rng)
        loss = heatmap_mse(heatmaps, batch["heatmaps"], jnp.ones((len(heatmaps), KEYPOINTS)), 0)
        return loss, ({"loss": loss}, collections)


class Example:
    """A network with initial variables and a batch, from which a training starts on any mesh.

    Args:
      name: name of the network.
      size: height and width of the images.
      fields: fields of the network.
    """

    def __init__(self, name: str, size: tuple[int, int], **fields):
        self.name, self.fields = name, fields
        model, rng = self.build(jnp.float32), np.random.default_rng(0)
        images = rng.standard_normal((BATCH, *size, 3))
        variables = jax.jit(model.init)(jax.random.key(0), images[:1])
        self.variables = jax.tree.map(np.asarray, variables)
        heatmaps = jax.eval_shape(model.apply, variables, images)
        self.batch = {"image": images, "heatmaps": rng.random(heatmaps.shape)}

    def build(self, dtype) -> nn.Module:
        """Returns the network with activations of this type."""
        return networks.build(self.name, keypoints=KEYPOINTS, dtype=dtype, **self.fields)

    def train(self, dtype, steps: int, mesh: Mesh):
        """Returns the state and the metrics after some steps, and the compiled step."""
        config = default_config()
        config.steps = 10
        variables, batch = jax.tree.map(lambda a: a.astype(dtype), (self.variables, self.batch))
        trainer, batch = Trainer(Task(self.build(dtype), variables), config, mesh), sharding.put_batch(batch, mesh)
        state = trainer.new_state(variables)
        program = trainer.compile(state, batch)
        for _ in range(steps):
            state, metrics, _ = trainer.step(state, batch)
        return state, metrics, program

    def first_step(self, mesh: Mesh, dtype=jnp.float32) -> tuple[dict[str, np.ndarray], jax.stages.Compiled]:
        """Returns the loss, gradient norms and batch statistics of a step, and the compiled step."""
        state, metrics, program = self.train(dtype, 1, mesh)
        mean_gradient = next(part.mu for part in jax.tree.leaves(state.opt_state, is_leaf=has_mean) if has_mean(part))
        norms = jax.tree.map(lambda a: np.linalg.norm(np.ravel(a)), mean_gradient)
        results = {"loss": np.asarray(metrics["loss"])} | arrays_by_path("gradient norm", norms)
        return results | arrays_by_path("statistics", state.variables.get("batch_stats", {})), program


def arrays_by_path(kind: str, tree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        f"{kind}/{jax.tree_util.keystr(path, simple=True, separator='/')}": np.asarray(leaf) for path, leaf in leaves
    }


def has_mean(part) -> bool:
    """Returns whether a state is that of Adam, whose mean after one step is the gradient times a constant."""
    return hasattr(part, "mu")


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], mesh: str) -> None:
    """Asserts that the results on a mesh are those on another: to 1e-5, parameters absolutely and others relatively."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        tolerance = {"rtol": 0, "atol": 1e-5} if name.startswith("parameters/") else {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(actual[name], array, **tolerance, err_msg=f"{name} on {mesh}")


def main(file: str) -> None:
    """Writes the results of all meshes to a file."""
    example = Example("simple_baseline_tiny", NARROW_SIZE, **NARROW)
    results = {mesh: example.first_step(grid)[0] for mesh, grid in make_meshes().items()}
    jax.config.update("jax_enable_x64", True)
    for mesh, grid in make_meshes().items():
        state, *_ = example.train(jnp.float64, 5, grid)
        results[mesh] |= arrays_by_path("parameters", state.params)
    np.savez(file, **{f"{mesh}/{name}": a for mesh, arrays in results.items() for name, a in arrays.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
