"""Sharding of arrays over a device mesh ("data", "fsdp"): batches over both axes, parameters over "fsdp"."""

import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from aggpose_jax.errors import UserError

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
STACKED = "blocks"  # Parameters below this key are stacked: nn.scan slices their leading axis, so it is never split.


def make_mesh(fsdp: int = 1) -> Mesh:
    """Returns a mesh of all devices with the axes data × fsdp.

    Args:
      fsdp: number of devices over which the parameters are sharded.

    Raises:
      UserError: the number of devices is not divisible by `fsdp`.
    """
    devices = jax.device_count()
    if fsdp < 1 or devices % fsdp:
        raise UserError(f"mesh.fsdp: {fsdp} does not divide the number of devices, {devices}; give a divisor")
    # Devices are ordered by process, so that the parts of a batch that the processes hold, concatenated in order, are
    # the batch that a single process would have.
    order = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    grid = np.array(order).reshape(-1, fsdp)
    return Mesh(grid, ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of a batch: its leading axis is split over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that is replicated on every device."""
    return NamedSharding(mesh, PartitionSpec())


def tree_shardings(tree: Any, mesh: Mesh) -> Any:
    """Returns the shardings of parameters or optimizer state: the largest divisible axis of a leaf is over "fsdp"."""

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
    """Returns a batch on the devices of the mesh, split along its leading axis; each process passes its part of it."""
    split = batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(split, array) for name, array in batch.items()}


def list_collectives(program: str) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the collective operations in the HLO text of a compiled program, with the shape of each result."""
    found = []
    for line in program.splitlines():
        match = re.search(
            r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\(", line
        )
        if match:
            for shape in re.findall(r"[a-z]+[0-9]*\[([0-9,]*)\]", match[1]):
                found.append((match[2], tuple(int(side) for side in shape.split(",") if side)))
    return found
