"""Tests of HRNet: equality with reference vectors, and its state dicts in all published forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from published import assert_same, heatmap_error
from reference import manifest
from trees import blank_variables, shapes, variable_shapes

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks.hrnet import HRNet, Module
from aggpose_jax.weights.state_dicts import Weights, read_state_dict, write_state_dict
from aggpose_jax.weights.transfer import transfer

FORMS = {
    "HRNet": ("", ""),
    "HRNet of mmpose": ("backbone.", "head."),
    "HRNet of mmpose 0": ("backbone.", "keypoint_head."),
}


def tiny_variables() -> dict:
    rng = np.random.default_rng(0)
    shapes = variable_shapes(networks.build("hrnet_tiny", keypoints=17))
    return jax.tree.map(lambda a: rng.uniform(0.1, 1, a.shape).astype(np.float32), shapes)


def tiny_tensors(form: str | None = None) -> dict[str, np.ndarray]:
    return write_state_dict(networks.build("hrnet_tiny", keypoints=17), tiny_variables(), form)


@pytest.mark.parametrize("name", ["w32", "w48"])
def test_names_and_shapes_equal_those_of_the_published_file(name):
    model = networks.build(f"hrnet_{name}", keypoints=17)
    tensors = write_state_dict(model, blank_variables(f"hrnet_{name}"))
    assert {key: tensor.shape for key, tensor in tensors.items()} == manifest(f"hrnet_{name}")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_and_written_bit_for_bit(form):
    encoder, head = FORMS[form]
    plain = tiny_tensors()
    tensors = {f"{head if name.startswith('final_layer') else encoder}{name}": tensor for name, tensor in plain.items()}
    found = read_state_dict(tensors)
    assert found.model == networks.build("hrnet_tiny", keypoints=17)
    jax.tree.map(np.testing.assert_array_equal, found.variables, tiny_variables())
    assert_same(write_state_dict(found.model, found.variables, form), tensors)


@pytest.mark.slow
def test_published_heatmaps_equal_the_reference():
    assert heatmap_error("hrnet_w32") <= 1e-5


def test_imagenet_weights_initialise_all_but_the_head():
    tensors = {name: tensor for name, tensor in tiny_tensors().items() if not name.startswith("final_layer")}
    others = (
        "incre_modules.0.0.conv1.weight",
        "downsamp_modules.0.0.bias",
        "classifier.weight",
        "final_layer.0.weight",
    )
    tensors |= dict.fromkeys((*others, "stage4.2.fuse_layers.1.0.0.0.weight"), np.zeros((4, 4)))
    source = read_state_dict(tensors)
    target = Weights(
        networks.find("hrnet_tiny"), networks.build("hrnet_tiny", keypoints=21), blank_variables("hrnet_tiny", 21)
    )
    variables, report = transfer(target, source)
    assert report.new == ["final_layer"]
    expected = flatten_dict(tiny_variables(), sep="/")
    for path, array in flatten_dict(variables, sep="/").items():
        np.testing.assert_array_equal(array, 0 if "/final_layer/" in path else expected[path])


def test_weights_of_another_width_are_refused_by_name():
    tensors = tiny_tensors()
    with pytest.raises(UserError, match=r"recognised as HRNet with keypoints 17, width 8, .* missing: stage3\.0"):
        read_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith("stage3.0.fuse")})
    with pytest.raises(UserError, match="belongs to a supported network"):
        read_state_dict({f"net.{name}": tensor for name, tensor in tensors.items()})


def test_an_exchange_adds_up_all_branches_at_the_resolution_of_each():
    # All convolutions are set to the identity on one channel, or to the centre pixel, and BatchNorm does nothing.
    module = Module(widths=(1, 1), outputs=2, train=False, blocks=0)
    fine, coarse = np.arange(16.0).reshape(1, 4, 4, 1), np.full((1, 2, 2, 1), 100.0)
    variables = module.init(jax.random.key(0), [fine, coarse])
    centre = np.zeros((3, 3, 1, 1), np.float32)
    centre[1, 1] = 1

    def identity(path, leaf):
        if path[-1].key == "kernel":
            return centre if leaf.shape[0] == 3 else np.ones_like(leaf)
        return np.full_like(leaf, 1 - 1e-5) if path[-1].key == "var" else leaf

    out = module.apply(jax.tree_util.tree_map_with_path(identity, variables), [fine, coarse])
    np.testing.assert_allclose(out[0], fine + 100, rtol=1e-6)
    np.testing.assert_allclose(out[1], fine[:, ::2, ::2] + 100, rtol=1e-6)


def test_layer_decay_depths_follow_the_order_of_the_modules():
    # 4 bottlenecks, and 4 blocks in each of 1 + 4 + 3 modules: 36 layers and the stem.
    tree = networks.find("hrnet_w32").layer_decay_depths(shapes("hrnet_w32"))
    depths = {path: int(depth) for path, depth in flatten_dict(tree, sep="/").items()}
    assert depths["conv1/kernel"] == depths["bn2/scale"] == 37
    assert depths["layer1.3/conv1/kernel"] == 33
    assert depths["transition1.1.0/0/kernel"] == depths["stage2.0/branches.1.0/conv1/kernel"] == 32
    assert depths["stage2.0/fuse_layers.0.1/0/kernel"] == depths["stage2.0/branches.0.3/bn2/bias"] == 29
    assert depths["stage4.2/branches.3.3/bn1/scale"] == 1
    assert depths["final_layer/bias"] == 0


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_every_convolution_runs_in_the_given_dtype(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        model = networks.build("hrnet_tiny", keypoints=3, dtype=dtype)
        jaxpr = jax.make_jaxpr(lambda v: model.apply(v, jnp.zeros((1, 32, 32, 3))))(variable_shapes(model))
    products = [line for line in str(jaxpr).splitlines() if "conv_general_dilated[" in line]
    assert len(products) > 30
    assert all((":bf16[" if dtype == jnp.bfloat16 else ":f64[") in line for line in products)
    assert jaxpr.out_avals[0].dtype == jnp.promote_types(jnp.float32, dtype)


def test_an_hrnet_has_a_quarter_of_the_resolution_and_statistics_of_the_batch():
    model = HRNet(keypoints=3, width=4, modules=(1, 1), blocks=1, bottlenecks=1)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 64, 3)))
    images = np.random.default_rng(1).standard_normal((2, 32, 64, 3)).astype(np.float32)
    train = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    heatmaps, updated = train(variables, images)
    assert heatmaps.shape == (2, 8, 16, 3)
    assert not np.array_equal(updated["batch_stats"]["bn1"]["mean"], variables["batch_stats"]["bn1"]["mean"])
