"""What a training step needs on so many devices, from the compiled program itself: memory, and what is exchanged.

python launch/plan.py --devices 8 --config configs/infant_l.py [--config.mesh.fsdp=2 --config.batch_size=64 …]

Any machine plays so many devices, for which the step is compiled and not run; with --config.data=synthetic no data set
is needed, and --config.model.unroll=1 compiles faster. The numbers are those of XLA's program for a CPU: those of an
accelerator differ by how its compiler fuses.
"""

import argparse
import collections
import math
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--config", required=True)
    known, rest = parser.parse_known_args()
    overrides = [argument.removeprefix("--config.") for argument in rest]
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={known.devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    from aggpose_jax.config import read_experiment
    from aggpose_jax.runtime import compilation, sharding
    from aggpose_jax.training.tasks import make_task
    from aggpose_jax.training.trainer import Trainer

    compilation.enable_compilation_cache()
    config = read_experiment(known.config, overrides)
    mesh = sharding.make_mesh(config.mesh.fsdp)
    trainer = Trainer(make_task(config), config, mesh)
    shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in next(trainer.task.train_batches(0)).items()}
    program = trainer.step.lower(trainer.abstract(), shapes).compile()
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(trainer.shapes.params))
    print(f"{config.model.name}, {size:,} parameters, batch {config.batch_size} on {dict(mesh.shape)}")
    print(compilation.describe_resources(program))
    moved = collections.defaultdict(list)
    for operation, shape in sharding.list_collectives(program.as_text()):
        moved[operation].append(math.prod(shape) * 4)
    for operation, sizes in moved.items():
        total, largest = sum(sizes) / 2**20, max(sizes) / 2**20
        print(f"{operation:<20}{len(sizes):>6} arrays {total:>10.2f} MiB, the largest {largest:.2f}")


if __name__ == "__main__":
    main()
