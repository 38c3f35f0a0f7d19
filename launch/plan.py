"""Prints the memory and the communication of a training step on a number of devices, from the compiled program.

python launch/plan.py --devices 8 --config configs/infant_l.py [--config.mesh.fsdp=2 --config.batch_size=64 …]

The step is compiled for that number of simulated CPU devices, on any machine, and is not run. --config.data=synthetic
needs no data set, and --config.model.unroll=1 compiles faster. The numbers are those of XLA's program for CPUs; on an
accelerator they differ, because its compiler fuses operations differently.
"""

import argparse
import collections
import math
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--config", required=True)
    options, rest = parser.parse_known_args()
    overrides = [argument.removeprefix("--config.") for argument in rest]
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={options.devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from aggpose_jax.config import read_experiment
    from aggpose_jax.runtime import compilation, sharding
    from aggpose_jax.training.tasks import make_task
    from aggpose_jax.training.trainer import Trainer

    compilation.enable_compilation_cache()
    config = read_experiment(options.config, overrides)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    trainer = Trainer(make_task(config), config, mesh)
    shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in next(trainer.task.train_batches(0)).items()}
    program = trainer.step.lower(trainer.abstract(), shapes).compile()
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(trainer.shapes.params))
    print(f"{config.model.name}: {count:,} parameters, batch size {config.batch_size}, mesh {dict(mesh.shape)}")
    print(compilation.describe_resources(program))
    collective_bytes = collections.defaultdict(list)
    for operation, shape in sharding.list_collectives(program.as_text()):
        collective_bytes[operation].append(math.prod(shape) * 4)
    for operation, sizes in collective_bytes.items():
        total, largest = sum(sizes) / 2**20, max(sizes) / 2**20
        print(f"{operation:<20}{len(sizes):>6} arrays {total:>10.2f} MiB, largest {largest:.2f} MiB")


if __name__ == "__main__":
    main()
