"""Tests of the conversion of variables to and from the names and layouts of PyTorch."""

import jax
import numpy as np
import pytest
from reference import manifest
from trees import shapes as shapes_of

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks import mit_tables
from aggpose_jax.networks.weight_table import CONVOLUTION, DEPTHWISE, LINEAR, SAME, Entry, Table
from aggpose_jax.weights.state_dicts import from_tensors, read_state_dict, to_tensors, write_state_dict

CASES = [
    ("aggpose_tiny", 21),
    ("aggpose_s", 17),
    ("aggpose_l", 21),
    ("mit_pose_tiny", 17),
    ("mit_pose_b5", 17),
]
MANIFESTS = {
    ("aggpose_s", 17): "aggpose_s_coco17",
    ("aggpose_l", 21): "aggpose_l_infant21",
    ("mit_pose_b5", 17): "segformer_b5_pose",
}


def table_of(name: str) -> Table:
    return networks.find(name).state_dicts[0].table(networks.build(name, keypoints=17))


def parameters_of(name: str, keypoints: int) -> dict:
    """Returns parameters that differ between adjacent positions, in float16 to save memory."""
    return jax.tree.map(
        lambda a: (np.arange(a.size) % 2039).astype(np.float16).reshape(a.shape),
        {"params": shapes_of(name, keypoints)},
    )


def assert_equal_trees(actual: dict, expected: dict) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize(("name", "keypoints"), CASES)
def test_parameters_survive_a_round_trip_bit_for_bit(name, keypoints):
    table, parameters = table_of(name), parameters_of(name, keypoints)
    tensors = to_tensors(table, parameters)
    assert_equal_trees(from_tensors(table, tensors, parameters), parameters)
    assert sum(tensor.size for tensor in tensors.values()) == sum(leaf.size for leaf in jax.tree.leaves(parameters))
    if (name, keypoints) in MANIFESTS:
        shapes = manifest(MANIFESTS[name, keypoints])
        used = {key: shape for key, shape in shapes.items() if not key.startswith("recover.")}
        assert {key: tensor.shape for key, tensor in tensors.items()} == used


def test_stages_without_blocks_survive_a_round_trip():
    table, parameters = table_of("aggpose_demo"), parameters_of("aggpose_demo", 21)
    tensors = to_tensors(table, parameters)
    assert_equal_trees(from_tensors(table, tensors, parameters), parameters)


def test_random_bit_patterns_survive_a_round_trip():
    table, parameters = table_of("mit_pose_tiny"), parameters_of("mit_pose_tiny", 3)
    rng = np.random.default_rng(0)
    finite = np.uint32(0xFF7FFFFF)  # Clears one bit of the exponent; subnormals and −0 are possible.
    bits = jax.tree.map(lambda a: (rng.integers(0, 2**32, a.shape, np.uint32) & finite).view(np.float32), parameters)
    found = from_tensors(table, to_tensors(table, bits), parameters)
    assert_equal_trees(*(jax.tree.map(lambda a: a.view(np.uint32), tree) for tree in (found, bits)))


def test_pytorch_tensors_survive_a_round_trip():
    table, parameters = table_of("aggpose_tiny"), parameters_of("aggpose_tiny", 17)
    tensors = to_tensors(table, parameters)
    tensors = {name: np.random.default_rng(0).permuted(tensor) for name, tensor in tensors.items()}
    found = to_tensors(table, from_tensors(table, tensors, parameters))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_layouts_permute_the_axes_of_tensors():
    table = [
        Entry(("linear",), ("linear.weight",), LINEAR),
        Entry(("convolution",), ("convolution.weight",), CONVOLUTION),
        Entry(("depthwise",), ("depthwise.weight",), DEPTHWISE),
        Entry(("stage", "bias"), ("block.0.bias", "block.1.bias"), SAME, stacked=True),
    ]
    tensors = {
        "linear.weight": np.arange(6.0).reshape(2, 3),  # out, in
        "convolution.weight": np.arange(120.0).reshape(2, 3, 4, 5),  # out, in, rows, columns
        "depthwise.weight": np.arange(60.0).reshape(3, 1, 4, 5),
        "block.0.bias": np.array([1.0, 2.0]),
        "block.1.bias": np.array([3.0, 4.0]),
    }
    like = {
        "linear": np.zeros((3, 2)),
        "convolution": np.zeros((4, 5, 3, 2)),
        "depthwise": np.zeros((4, 5, 3)),
        "stage": {"bias": np.zeros((2, 2))},
    }
    variables = from_tensors(table, tensors, like)
    assert variables["linear"][2, 1] == tensors["linear.weight"][1, 2]
    assert variables["convolution"].shape == (4, 5, 3, 2)
    assert variables["convolution"][3, 1, 2, 0] == tensors["convolution.weight"][0, 2, 3, 1]
    assert variables["depthwise"].shape == (4, 5, 3)
    assert variables["depthwise"][3, 1, 2] == tensors["depthwise.weight"][2, 0, 3, 1]
    np.testing.assert_array_equal(variables["stage"]["bias"], [[1, 2], [3, 4]])


def test_all_tensors_that_do_not_fit_are_listed_in_one_error():
    table, parameters = table_of("aggpose_tiny"), parameters_of("aggpose_tiny", 17)
    tensors = to_tensors(table, parameters)
    missing = ["norm1_2.bias", "block2.0.attn.kv.weight", "final.fc1.weight"]
    tensors = {name: tensor for name, tensor in tensors.items() if name not in missing}
    tensors |= {"extra.a": np.zeros(1), "extra.b": np.zeros(1), "norm1.weight": np.zeros((4, 4), np.float32)}
    tensors["norm2.weight"] = np.full(32, np.nan, np.float32)
    tensors["norm2.bias"][7] = -np.inf
    tensors["norm3.bias"] = np.zeros(80, np.int8)
    with pytest.raises(UserError) as raised:
        from_tensors(table, tensors, parameters)
    assert str(raised.value).endswith(
        "missing: block2.0.attn.kv.weight, final.fc1.weight, norm1_2.bias; "
        "unexpected: extra.a, extra.b; wrong shape: norm1.weight (4, 4) instead of (16,); "
        "not floating-point: norm3.bias; NaN or infinite: norm2.bias, norm2.weight"
    )


def test_a_parameter_without_a_pytorch_name_is_an_error():
    parameters = parameters_of("aggpose_tiny", 17)
    parameters["params"]["down_ffn2_2"] = {"fc1": {"bias": np.zeros(3)}}
    with pytest.raises(UserError, match=r"PyTorch.*: down_ffn2_2/fc1/bias$"):
        to_tensors(table_of("aggpose_tiny"), parameters)


def test_the_encoder_table_is_independent_of_its_path_and_part_of_the_pose_model():
    depths = (1, 1, 1, 1)
    encoder = {entry.names: entry.path[2:] for entry in mit_tables.encoder("encoder", depths)}
    elsewhere = {entry.names: entry.path[3:] for entry in mit_tables.encoder("deep/encoder", depths)}
    assert encoder == elsewhere
    pose = {entry.names: entry.path for entry in table_of("mit_pose_tiny")}
    assert all(pose[names] == ("params", "encoder", *path) for names, path in encoder.items())


@pytest.fixture(scope="module")
def published():
    """Returns a plain pose model and its state dict, and that of its encoder alone."""
    model = networks.build("mit_pose_tiny", keypoints=17)
    tensors = write_state_dict(model, parameters_of("mit_pose_tiny", 17))
    return model, tensors, {name: a for name, a in tensors.items() if name.startswith(("patch_embed", "block", "norm"))}


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "model.backbone."])
def test_prefixes_that_all_names_have_are_removed(published, prefix):
    model, tensors, _ = published
    found = read_state_dict({f"{prefix}{name}": tensor for name, tensor in tensors.items()})
    assert found.model == model
    again = write_state_dict(found.model, found.variables)
    assert again.keys() == tensors.keys()
    assert all(np.array_equal(again[name], tensor) for name, tensor in tensors.items())


def test_the_backbone_of_a_segmentation_model_is_read_without_its_head(published):
    _, _, encoder = published
    tensors = {f"backbone.{name}": tensor for name, tensor in encoder.items()}
    found = read_state_dict(tensors | {"decode_head.conv_seg.weight": np.zeros((19, 256, 1, 1), np.float32)})
    assert found.network.module.__name__ == "MitPose"
    assert set(found.variables["params"]) == {"encoder"}


def test_a_prefix_that_some_names_lack_is_not_removed_and_what_is_left_over_is_listed(published):
    _, tensors, _ = published
    with pytest.raises(UserError, match=r"belongs to a supported network"):
        read_state_dict({f"student.{name}": tensor for name, tensor in tensors.items()})
    wrapped = {f"model.{name}": tensor for name, tensor in tensors.items()}
    with pytest.raises(UserError, match=r"unexpected: loss\.weight"):
        read_state_dict(wrapped | {"model.loss.weight": np.zeros(1, np.float32)})
