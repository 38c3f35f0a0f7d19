"""The collectives in the training step of experiments.

collectives.py EXPERIMENT FSDP …

As a script, it prints a line of JSON for each number of devices over which parameters are sharded: the collectives of
a step of the experiment on all devices, and the shapes of its parameters.
"""

import importlib.util
import json
import math
import pathlib
import sys
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from aggpose_jax.runtime import sharding
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.trainer import Trainer

BATCH = 16
Shape = tuple[int, ...]


def unexpected(collectives: list[tuple[str, Shape]], shapes: Iterable[Shape]) -> list[tuple[str, Shape]]:
    """Returns the collectives that are neither scalars nor as large as one of the arrays with the given shapes.

    Sizes are compared, since a scanned stage of one block may lose its stacked axis and gradients may be transposed.
    """
    sizes = {math.prod(shape) for shape in shapes} | {1}
    return [(operation, shape) for operation, shape in collectives if math.prod(shape) not in sizes]


def describe_step(config, fsdp: int) -> dict:
    """Returns the collectives of a training step on all devices, and the shapes of its parameters."""
    trainer = Trainer(make_task(config), config, sharding.make_mesh(fsdp))
    k = 21
    batch = {
        "image": jax.ShapeDtypeStruct((BATCH, 64, 64, 3), jnp.uint8),
        "keypoints": jax.ShapeDtypeStruct((BATCH, k, 2), jnp.float32),
        "weight": jax.ShapeDtypeStruct((BATCH, k), jnp.float32),
        "valid": jax.ShapeDtypeStruct((BATCH,), jnp.float32),
    }
    program = trainer.step.lower(trainer.abstract(), batch).compile().as_text()
    params = [leaf.shape for leaf in jax.tree.leaves(trainer.shapes.params)]
    return {"collectives": sharding.list_collectives(program), "params": params}


def main(experiment: str, *fsdp: str) -> None:
    """Prints what `describe_step` returns for each number of devices."""
    path = pathlib.Path(__file__).parents[2] / "configs" / f"{experiment}.py"
    spec = importlib.util.spec_from_file_location("experiment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("debug")
    config.input_size = (64, 64)
    config.model.drop_path = 0.1
    for number in fsdp:
        print(json.dumps(describe_step(config, int(number))))


if __name__ == "__main__":
    main(*sys.argv[1:])
