"""Prints the collectives in the training step of an experiment on all devices, and the shapes of its parameters.

collectives.py FSDP EXPERIMENT
"""

import importlib.util
import json
import pathlib
import sys

import jax
import jax.numpy as jnp

from aggpose_jax.runtime import sharding
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.trainer import Trainer

BATCH = 16


def main():
    path = pathlib.Path(__file__).parents[2] / "configs" / f"{sys.argv[2]}.py"
    spec = importlib.util.spec_from_file_location("experiment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("debug")
    config.input_size = (64, 64)
    config.model.drop_path = 0.1
    mesh = sharding.make_mesh(int(sys.argv[1]))
    trainer = Trainer(make_task(config), config, mesh)
    k = 21
    batch = {
        "image": jax.ShapeDtypeStruct((BATCH, 64, 64, 3), jnp.uint8),
        "keypoints": jax.ShapeDtypeStruct((BATCH, k, 2), jnp.float32),
        "weight": jax.ShapeDtypeStruct((BATCH, k), jnp.float32),
        "valid": jax.ShapeDtypeStruct((BATCH,), jnp.float32),
    }
    program = trainer.step.lower(trainer.abstract(), batch).compile().as_text()
    params = [leaf.shape for leaf in jax.tree.leaves(trainer.shapes.params)]
    print(json.dumps({"collectives": sharding.list_collectives(program), "params": params}))


if __name__ == "__main__":
    main()
