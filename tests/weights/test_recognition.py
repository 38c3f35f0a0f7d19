"""Tests of the recognition of published state dicts, and of the errors for state dicts that fit no network."""

import jax
import numpy as np
import pytest
from reference import manifest
from trees import blank, blank_variables, numbered

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks import mit, mit_tables
from aggpose_jax.networks.mit import MixTransformer
from aggpose_jax.weights.state_dicts import read_state_dict, to_tensors, write_state_dict


def tensors_of(name: str, keypoints: int = 17, variables=blank_variables) -> dict[str, np.ndarray]:
    return write_state_dict(networks.build(name, keypoints=keypoints), variables(name, keypoints))


def encoder_tensors(variant: str) -> dict[str, np.ndarray]:
    """Returns the state dict of a Mix Transformer with the head of a classifier, as published."""
    table = mit_tables.encoder("encoder", mit.VARIANTS[variant][1])
    tensors = to_tensors(table, {"params": {"encoder": blank(f"mit_pose_{variant}")["encoder"]}})
    return tensors | {"head.weight": np.zeros((1000, 256), np.float32), "head.bias": np.zeros(1000, np.float32)}


def params_in(tensors: dict) -> dict:
    return read_state_dict(tensors).variables["params"]


def shape_tree(parameters: dict) -> dict:
    return jax.tree.map(np.shape, parameters)


# The published forms of these networks are read and written in tests/networks.
LARGE = ("hrnet_w", "hrformer_b", "transpose_h", "tokenpose_l", "swin_pose_b")


@pytest.mark.parametrize("name", [name for name in networks.NAMES if not name.startswith(("mae_", *LARGE))])
def test_every_network_is_recognised_with_its_number_of_keypoints(name):
    found = read_state_dict(tensors_of(name, 14)).variables
    assert shape_tree(found) == shape_tree(blank_variables(name, 14))


@pytest.mark.parametrize("variant", ["b0", "b1", "b2", "b5"])
def test_a_published_classifier_is_read_as_an_encoder(variant):
    found = params_in(encoder_tensors(variant))
    assert shape_tree(found) == {"encoder": shape_tree(blank(f"mit_pose_{variant}")["encoder"])}


def test_a_written_state_dict_is_read_with_the_same_values():
    found = params_in(tensors_of("aggpose_tiny", 17, lambda *network: {"params": numbered(*network)}))
    jax.tree.map(np.testing.assert_array_equal, found, numbered("aggpose_tiny"))


@pytest.mark.parametrize(
    ("published", "network", "keypoints", "tensors"),
    [
        ("aggpose_l_infant21", "aggpose_l", 21, 1568),
        ("aggpose_s_coco17", "aggpose_s", 17, 848),
        ("segformer_b5_pose", "mit_pose_b5", 17, 1084),
    ],
)
def test_published_state_dicts_are_read_and_written_with_every_key(published, network, keypoints, tensors):
    shapes = manifest(published)
    assert len(shapes) == tensors
    found = params_in({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert shape_tree(found) == shape_tree(blank(network, keypoints))
    written = write_state_dict(networks.build(network, keypoints=keypoints), {"params": found})
    used = {name: shape for name, shape in shapes.items() if not name.startswith("recover.")}
    assert {name: tensor.shape for name, tensor in written.items()} == used


def test_missing_and_unexpected_tensors_are_listed_in_one_error():
    tensors = tensors_of("aggpose_s")
    del tensors["block3.2.attn.q.bias"], tensors["final_layer.fc2.bias"], tensors["patch_embed2.proj.bias"]
    tensors["extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as raised:
        read_state_dict(tensors)
    sizes = "AggPose with keypoints 17, widths (64, 128, 320, 512), depths ((3, 3, 3, 3), (4, 3, 3), (6, 3), (3,))"
    assert sizes in str(raised.value)
    assert str(raised.value).endswith(
        "missing: block3.2.attn.q.bias, final_layer.fc2.bias, patch_embed2.proj.bias; unexpected: extra.weight"
    )


def test_impossible_sizes_are_an_error_that_names_them():
    tensors = {
        "patch_embed1.proj.bias": np.zeros(7),
        "block1.9999.norm1.bias": np.zeros(7),
        "merge_12_1.x": np.zeros(1),
    }
    with pytest.raises(UserError, match=r"AggPose .*keypoints 0, widths \(7, 0, 0, 0\), "):
        read_state_dict(tensors)


def test_tensors_of_an_unsupported_network_are_an_error_with_their_number_and_names():
    with pytest.raises(UserError, match=r" 2 tensors \(conv1\.weight, fc\.bias, …\)"):
        read_state_dict({"fc.bias": np.zeros(3), "conv1.weight": np.zeros((3, 3))})
    with pytest.raises(UserError, match=" 0 tensors"):
        read_state_dict({})


def test_a_network_without_a_counterpart_in_pytorch_cannot_be_written():
    with pytest.raises(UserError, match=r"MixTransformer .*PyTorch"):
        write_state_dict(MixTransformer((8,), (1,)), {})
