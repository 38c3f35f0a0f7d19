"""Shardings of parameters, optimizer state and batches."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from aggpose_jax.errors import UserError
from aggpose_jax.runtime import sharding

MESH = AbstractMesh((2, 4), ("data", "fsdp"))


def specs(tree: dict, mesh=MESH) -> dict:
    shapes = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, np.float32), tree, is_leaf=lambda s: type(s) is tuple
    )
    return jax.tree.map(lambda s: s.spec, sharding.tree_shardings(shapes, mesh))


def test_the_largest_divisible_axis_is_split():
    tree = {"a": (3, 8, 16), "b": (16, 8), "c": (7, 7, 12, 64), "d": (100, 6, 4), "e": (8,), "f": (30, 8)}
    assert specs(tree) == {
        "a": PartitionSpec(None, None, "fsdp"),
        "b": PartitionSpec("fsdp", None),
        "c": PartitionSpec(None, None, None, "fsdp"),
        "d": PartitionSpec("fsdp", None, None),
        "e": PartitionSpec("fsdp"),
        "f": PartitionSpec(None, "fsdp"),  # 30 is larger but not divisible by 4
    }


def test_arrays_without_a_divisible_axis_are_replicated():
    assert set(specs({"a": (3, 5), "b": (), "c": (6,)}).values()) == {PartitionSpec()}


def test_the_axis_of_stacked_blocks_is_not_split():
    tree = {"stage1_1": {"blocks": {"kernel": (40, 8, 4), "bias": (40, 4), "odd": (40, 3)}, "norm": {"scale": (40,)}}}
    assert specs(tree) == {
        "stage1_1": {
            "blocks": {
                "kernel": PartitionSpec(None, "fsdp", None),
                "bias": PartitionSpec(None, "fsdp"),
                "odd": PartitionSpec(),
            },
            "norm": {"scale": PartitionSpec("fsdp")},
        }
    }
    assert specs({"blocksmith": (40, 4)}) == {
        "blocksmith": PartitionSpec("fsdp", None)
    }  # only the full key "blocks" counts


def test_optimizer_state_is_split_like_the_parameters():
    parameters = {"stage": {"blocks": {"kernel": (40, 8, 4)}}}
    assert specs({"moments": [parameters, parameters]})["moments"] == [specs(parameters)] * 2


def test_fsdp_1_replicates_all_parameters():
    assert specs({"a": (8, 8)}, AbstractMesh((4, 1), ("data", "fsdp"))) == {"a": PartitionSpec()}


def test_the_mesh_contains_all_devices():
    mesh = sharding.make_mesh()
    assert dict(mesh.shape) == {"data": jax.device_count(), "fsdp": 1}
    batch = sharding.put_batch({"image": np.zeros((2 * mesh.size, 4, 4, 3), np.uint8)}, mesh)
    assert batch["image"].sharding == sharding.batch_sharding(mesh)
    assert sharding.batch_sharding(mesh).spec == PartitionSpec(("data", "fsdp"))
    assert sharding.replicated(mesh).is_fully_replicated


@pytest.mark.parametrize("fsdp", [0, -1, 3, 16])
def test_fsdp_must_divide_the_number_of_devices(monkeypatch, fsdp):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    with pytest.raises(UserError, match=rf"mesh\.fsdp: {fsdp} .* 8"):
        sharding.make_mesh(fsdp)
