"""Trains every comparison network for one step on 1 × 1, 8 × 1 and 4 × 2 devices, and compares. Run it by hand:

PYTHONPATH=.:tests/training JAX_PLATFORMS=cpu \
    XLA_FLAGS="--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0" \
    python tests/endurance/sharded_networks.py [NAME …]

About 30 minutes on two cores for all of them. The narrow variant of a network takes a step in float32, and one in
float64, from the same variables and batch on every mesh. The script stops if the loss, the norms of the gradients or
the batch statistics differ by more than LIMITS, or if anything but statistics, gradients, parameters and scalars is
communicated in float32, in which networks are trained. (In float64 XLA gathers activations for the gradient of
SimpleBaseline's pooling.) It prints the greatest difference of each of them, relative where they are large, and the
collectives.
"""

import collections
import math
import sys
import time

import batch_statistics
import jax
import jax.numpy as jnp
import numpy as np
from collectives import unexpected

from aggpose_jax.runtime import sharding

# The gradients of HRNet's first kernels are small differences of large numbers: the order of the sums on eight devices
# changes them by 1e-4 in float32. In float64 all of them agree, so that it is nothing but rounding.
LIMITS = {
    "float32": {"loss": 1e-5, "gradient norm": 1e-4, "statistics": 1e-5},
    "float64": {"loss": 1e-12, "gradient norm": 1e-12, "statistics": 1e-12},
}
TOKENS, RELATIVE_POSITIONS = 7 * 7, 13 * 13  # of a window
NETWORKS = {  # name: size of the images, and fields that switch off what is random in training
    "simple_baseline": ((64, 64), {}),
    "hrnet": ((64, 64), {}),
    "hrformer": ((64, 64), {"drop_path": 0.0}),
    "transpose": ((64, 64), {"dropout": 0.0}),
    "tokenpose": ((64, 48), {"map_size": (16, 12)}),
    "swin_pose": ((64, 64), {"drop_path": 0.0}),
}


def greatest_differences(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the greatest |actual − expected| / (|expected| + 0.1) of the loss, gradient norms and statistics."""
    greatest: dict[str, float] = collections.defaultdict(float)
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        difference = float(np.max(np.abs(actual[name] - array) / (np.abs(array) + 0.1)))
        kind = name.split("/")[0]
        greatest[kind] = max(greatest[kind], difference)
    return greatest


def describe(found: list[tuple[str, tuple[int, ...]]], bytes_per_number: int) -> str:
    """Returns the number and the bytes of the collectives of each kind."""
    sizes = collections.defaultdict(list)
    for operation, shape in found:
        sizes[operation].append(bytes_per_number * math.prod(shape))
    return "; ".join(f"{len(of_kind)} {kind} of {sum(of_kind):,} bytes" for kind, of_kind in sizes.items()) or "none"


def compare(name: str, precision: str) -> None:
    """Compares the steps of a network on all meshes and prints a row of the table for each."""
    size, fields = NETWORKS[name]
    example = batch_statistics.Example(f"{name}_tiny", size, **fields)
    shapes = [array.shape for array in jax.tree.leaves(example.variables)]
    # The gradient of a table of relative positions is summed over devices for each pair of tokens, before the table.
    shapes += [(shape[1], TOKENS, TOKENS) for shape in shapes if len(shape) == 2 and shape[0] == RELATIVE_POSITIONS]
    dtype, single = jnp.dtype(precision), None
    for mesh, grid in batch_statistics.make_meshes().items():
        start = time.perf_counter()
        results, program = example.first_step(grid, dtype)
        single = single or results
        found = sharding.list_collectives(program.as_text())
        differences = greatest_differences(results, single)
        words = [f"{kind} {difference:.1e}" for kind, difference in differences.items()]
        columns = (name, precision, mesh, ", ".join(words), describe(found, dtype.itemsize))
        print(f"| {' | '.join(columns)} | {time.perf_counter() - start:.0f} s |", flush=True)
        strange = unexpected(found, shapes)
        if strange:
            print(f"unexpected: {collections.Counter(strange)}", flush=True)
        assert not strange or precision == "float64"
        assert all(difference <= LIMITS[precision][kind] for kind, difference in differences.items())


def main() -> None:
    """Prints the table of all networks, or of those that are named."""
    print("| network | precision | data × fsdp | greatest differences | collectives | time |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or NETWORKS:
        for precision in LIMITS:
            with jax.enable_x64(precision == "float64"):
                compare(name, precision)


if __name__ == "__main__":
    main()
