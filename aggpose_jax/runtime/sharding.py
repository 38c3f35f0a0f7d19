"""Where arrays live: a mesh of ("data", "fsdp"), batches split over both, parameters over "fsdp"."""

import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from aggpose_jax.errors import UserError

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
STACKED = "blocks"  # parameters below this key have a leading axis over blocks, which a scan slices


def make_mesh(fsdp: int = 1) -> Mesh:
    """Returns all devices as a mesh of data × fsdp.

    Args:
      fsdp: number of devices that share the parameters.

    Raises:
      UserError: the number of devices does not divide by it.
    """
    devices = jax.device_count()
    if fsdp < 1 or devices % fsdp:
        raise UserError(f"mesh.fsdp: {fsdp} does not divide the number of devices, {devices}; give a divisor of it")
    # In the order of the processes, so that the parts of a batch, in order, are the batch of a single process.
    order = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    grid = np.array(order).reshape(-1, fsdp)
    return Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The leading axis over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def tree_shardings(tree: Any, mesh: Mesh) -> Any:
    """A sharding for every leaf of parameters or of what mirrors them: its largest divisible axis over "fsdp"."""

    def leaf_sharding(path, leaf):
        stacked = STACKED in jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        return NamedSharding(mesh, _leaf_spec(leaf.shape, mesh.shape["fsdp"], stacked))

    return jax.tree_util.tree_map_with_path(leaf_sharding, tree)


def _leaf_spec(shape: tuple[int, ...], fsdp: int, stacked: bool) -> PartitionSpec:
    axes = [axis for axis in range(int(stacked), len(shape)) if shape[axis] % fsdp == 0]
    if fsdp == 1 or not axes:
        return PartitionSpec()
    largest = max(axes, key=lambda axis: shape[axis])
    return PartitionSpec(*("fsdp" if axis == largest else None for axis in range(len(shape))))


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Host arrays onto the devices of the mesh, split along the batch; of several processes each gives its share."""
    split = batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(split, array) for name, array in batch.items()}


def list_collectives(program: str) -> list[tuple[str, tuple[int, ...]]]:
    """The collectives of a compiled program (its HLO text): the operation and the shape of each of its results."""
    found = []
    for line in program.splitlines():
        match = re.search(
            r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\(", line
        )
        if match:
            for shape in re.findall(r"[a-z]+[0-9]*\[([0-9,]*)\]", match[1]):
                found.append((match[2], tuple(int(side) for side in shape.split(",") if side)))
    return found
