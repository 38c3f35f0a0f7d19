"""State dicts from elsewhere: what they are taken for, and what is said of those that fit nothing."""

import json

import jax
import numpy as np
import pytest
from reference import REFERENCE
from trees import blank, numbered

from aggpose_jax.errors import UserError
from aggpose_jax.models import VARIANTS, weights
from aggpose_jax.models.foreign import read_tensors, table_of


def tensors_of(name: str, keypoints: int = 17, parameters=blank) -> dict[str, np.ndarray]:
    return weights.to_foreign(table_of(name), parameters(name, keypoints))


def encoder_tensors(variant: str) -> dict[str, np.ndarray]:
    """A Mix Transformer alone, as classifiers are published."""
    encoder = {"encoder": blank(f"mit_pose_{variant}")["encoder"]}
    head = {"head.weight": np.zeros((1000, 256), np.float32), "head.bias": np.zeros(1000, np.float32)}
    return weights.to_foreign(table_of(f"mit_{variant}"), encoder) | head


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_is_recognised_with_its_keypoints(name):
    found = read_tensors(tensors_of(name, 14))
    assert (found.network, found.keypoints) == (name, 14)
    assert jax.tree.structure(found.parameters) == jax.tree.structure(blank(name, 14))


@pytest.mark.parametrize("variant", ["b0", "b1", "b2", "b5"])
def test_a_mix_transformer_alone_is_an_encoder(variant):
    found = read_tensors(encoder_tensors(variant))
    assert (found.network, found.keypoints) == (f"mit_{variant}", 0)
    assert found.parameters.keys() == {"encoder"}
    expected = jax.tree.map(np.shape, blank(f"mit_pose_{variant}")["encoder"])
    assert jax.tree.map(np.shape, found.parameters["encoder"]) == expected


def test_parameters_keep_their_values():
    expected = numbered("aggpose_tiny")
    jax.tree.map(
        np.testing.assert_array_equal, read_tensors(tensors_of("aggpose_tiny", 17, numbered)).parameters, expected
    )


@pytest.mark.parametrize(
    ("manifest", "network", "keypoints", "tensors"),
    [
        ("aggpose_l_infant21", "aggpose_l", 21, 1568),
        ("aggpose_s_coco17", "aggpose_s", 17, 848),
        ("segformer_b5_pose", "mit_pose_b5", 17, 1084),
    ],
)
def test_published_state_dicts_are_read_and_written_with_every_key(manifest, network, keypoints, tensors):
    shapes = json.loads((REFERENCE / f"state_dict_{manifest}.json").read_text())
    assert len(shapes) == tensors
    found = read_tensors({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    assert (found.network, found.keypoints) == (network, keypoints)
    written = weights.to_foreign(table_of(network), found.parameters)
    used = {name: shape for name, shape in shapes.items() if not name.startswith("recover.")}
    assert {name: list(tensor.shape) for name, tensor in written.items()} == used


def test_what_lacks_and_has_too_much_is_compared_with_the_nearest():
    tensors = tensors_of("aggpose_s")
    del tensors["block3.2.attn.q.bias"], tensors["final_layer.fc2.bias"]
    tensors["extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as raised:
        read_tensors(tensors)
    assert str(raised.value) == (
        "taken for aggpose_s: the weights do not fit the network; "
        "missing: block3.2.attn.q.bias, final_layer.fc2.bias; surplus: extra.weight"
    )


def test_tensors_of_something_else():
    with pytest.raises(UserError, match=r"none of its 2 tensors \(conv1\.weight, fc\.bias, …\) is of a network of"):
        read_tensors({"fc.bias": np.zeros(3), "conv1.weight": np.zeros((3, 3))})
    with pytest.raises(UserError, match="none of its 0 tensors"):
        read_tensors({})


def test_a_network_without_counterpart():
    with pytest.raises(UserError, match=r"^mae_b5: .*aggpose, mit_pose, mit have"):
        table_of("mae_b5")
