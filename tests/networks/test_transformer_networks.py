"""Tests of HRFormer, TransPose, TokenPose and Swin: equality with reference vectors, and their state dicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from published import assert_same, heatmap_error
from reference import manifest, named_weight
from trees import blank_variables, shapes, variable_shapes

from aggpose_jax import networks
from aggpose_jax.config import change, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.networks import windows
from aggpose_jax.networks.hrformer import HRFormer
from aggpose_jax.networks.hrformer import WindowAttention as PaddedAttention
from aggpose_jax.networks.positions import sine_positions
from aggpose_jax.networks.swin_pose import WindowAttention, names_of_mmpose, shift_mask
from aggpose_jax.weights.state_dicts import Weights, read_state_dict, write_state_dict
from aggpose_jax.weights.transfer import transfer

PUBLISHED = {  # name of the network: name of its manifest
    "hrformer_b": "hrformer_b",
    "hrformer_b_mmpose": "hrformer_b_mm",
    "transpose_h_a6": "transpose_h_a6",
    "tokenpose_l_d24": "tokenpose_l_d24",
    "swin_pose_b": "swin_b",
    "swin_pose_b_pyramid": "swin_b_fpn",
}
TINY = {
    "hrformer": ("hrformer_tiny", {}),
    "hrformer of mmpose": ("hrformer_tiny", {"relative_bias": True}),
    "transpose": ("transpose_tiny", {}),
    "tokenpose": ("tokenpose_tiny", {}),
    "swin": ("swin_pose_tiny", {}),
    "swin with a pyramid": ("swin_pose_tiny", {"pyramid": True}),
}


def named_tensors(name: str, keypoints: int = 17, **fields) -> dict[str, np.ndarray]:
    """Returns a state dict of a network whose weights are drawn from their names."""
    model = networks.build(name, keypoints=keypoints, **fields)
    tensors = write_state_dict(model, jax.tree.map(lambda a: np.zeros(a.shape, np.float32), variable_shapes(model)))
    fixed = ("relative_position_index", "pos_embedding", "num_batches_tracked")
    return {key: t if key.endswith(fixed) else named_weight(key, t.shape) for key, t in tensors.items()}


def new_weights(name: str, keypoints: int) -> Weights:
    model = networks.build(name, keypoints=keypoints)
    return Weights(networks.find(name), model, blank_variables(name, keypoints))


@pytest.mark.parametrize(
    ("name", "published"),
    [pytest.param(*item, marks=[pytest.mark.slow] * item[0].startswith("hrformer")) for item in PUBLISHED.items()],
)
def test_names_and_shapes_equal_those_of_the_published_file(name, published):
    tensors = write_state_dict(networks.build(name, keypoints=17), blank_variables(name))
    assert {key: tensor.shape for key, tensor in tensors.items()} == manifest(published)


@pytest.mark.parametrize(("name", "fields"), TINY.values(), ids=TINY)
def test_state_dicts_are_read_and_written_bit_for_bit(name, fields):
    tensors = named_tensors(name, **fields)
    found = read_state_dict(tensors)
    assert networks.find(name).module is type(found.model)
    assert_same(write_state_dict(found.model, found.variables), tensors)


@pytest.mark.slow
@pytest.mark.parametrize(("published", "bound"), [("swin_b", 1e-5), ("tokenpose_l_d24", 1e-5), ("hrformer_b_mm", 1e-5)])
def test_published_heatmaps_equal_the_reference(published, bound):
    assert heatmap_error(published) <= bound


@pytest.mark.parametrize(("name", "fields"), TINY.values(), ids=TINY)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_every_product_runs_in_the_given_dtype(name, fields, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        model = networks.build(name, keypoints=3, dtype=dtype, **fields)
        size = networks.find(name).input_size(model) if networks.find(name).input_size else (32, 64)
        jaxpr = jax.make_jaxpr(lambda v: model.apply(v, jnp.zeros((1, *size, 3))))(variable_shapes(model))
    products = [line for line in str(jaxpr).splitlines() if "dot_general[" in line or "conv_general_dilated[" in line]
    assert len(products) > 15
    assert all((":bf16[" if dtype == jnp.bfloat16 else ":f64[") in line for line in products)
    assert jaxpr.out_avals[0].dtype == jnp.promote_types(jnp.float32, dtype)
    assert jaxpr.out_avals[0].shape == (1, size[0] // 4, size[1] // 4, 3)


@pytest.mark.parametrize("name", ["hrformer_tiny", "transpose_tiny", "tokenpose_tiny", "swin_pose_tiny"])
def test_training_updates_batch_statistics_and_is_random(name):
    model = networks.build(name, keypoints=3)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, *networks.find(name).smallest_input(model), 3)).astype(np.float32)
    variables = jax.tree.map(lambda a: rng.uniform(0.1, 0.3, a.shape).astype(np.float32), variable_shapes(model))

    @jax.jit
    def train(variables, key):
        return model.apply(variables, images, train=True, rngs={"drop_path": key}, mutable=["batch_stats"])

    (first, updated), (second, _) = (train(variables, jax.random.key(seed)) for seed in (1, 2))
    assert np.array_equal(first, second) == (name == "tokenpose_tiny")  # It drops nothing.
    before, after = flatten_dict(variables["batch_stats"]), flatten_dict(dict(updated["batch_stats"]))
    assert before.keys() == after.keys()
    assert not any(np.array_equal(before[path], after[path]) for path in before)


def test_imagenet_weights_of_hrnet_start_transpose_and_tokenpose():
    tensors = {key: t for key, t in named_tensors("hrnet_tiny").items() if not key.startswith("final_layer")}
    source = read_state_dict(tensors | {"classifier.bias": np.zeros(9, np.float32)})
    expected = flatten_dict(source.variables, sep="/")
    for name in ("transpose_tiny", "tokenpose_tiny"):
        variables, report = transfer(new_weights(name, 21), source)
        copied = {path: origin for path, origin in report.origins.items() if origin}
        assert {"params/conv1/kernel", "params/stage3.0/fuse_layers.0.2/0/kernel"} <= copied.keys()
        assert not any(path.startswith("params/stage3") and not origin for path, origin in report.origins.items())
        for path, array in flatten_dict(variables, sep="/").items():
            np.testing.assert_array_equal(array, expected[path] if path in copied else 0)


@pytest.mark.parametrize("relative_bias", [False, True])
def test_imagenet_weights_initialise_hrformer_without_its_head(relative_bias):
    fields = {"modules": (1, 1, 2), "relative_bias": relative_bias}
    model = networks.build("hrformer_tiny", keypoints=21, **fields)
    tensors = {
        key.removeprefix("backbone."): tensor
        for key, tensor in named_tensors("hrformer_tiny", **fields).items()
        if key.startswith("backbone.")
    }
    extra = ("incre_modules.0.0.conv1.weight", "classifier.bias", "stage4.1.fuse_layers.1.0.0.0.weight")
    source = read_state_dict(tensors | dict.fromkeys(extra, np.zeros(2, np.float32)))
    zeros = jax.tree.map(lambda a: np.zeros(a.shape, np.float32), variable_shapes(model))
    variables, report = transfer(Weights(networks.find("hrformer_tiny"), model, zeros), source)
    assert report.new == ["final_layer"]
    written = write_state_dict(model, variables)
    assert_same({key: written[f"backbone.{key}"] for key in tensors}, tensors)


def test_tensors_with_another_prefix_than_the_rest_are_named():
    tensors = named_tensors("swin_pose_tiny")
    mixed = {key.replace("backbone.stages.1.", "module.backbone.stages.1."): t for key, t in tensors.items()}
    with pytest.raises(UserError, match=r"other prefixes than the rest: module\.backbone\.stages\.1\.[a-z0-9_.]+, "):
        read_state_dict(mixed)


def test_only_the_tokens_are_new_if_the_number_of_keypoints_differs():
    _, report = transfer(new_weights("tokenpose_tiny", 21), read_state_dict(named_tensors("tokenpose_tiny")))
    assert report.new == ["keypoint_token"]
    assert report.keypoints == (17, 21)


def test_merging_weights_of_microsoft_are_permuted_to_the_order_of_mmpose():
    model = networks.build("swin_pose_tiny", keypoints=17)
    tensors = named_tensors("swin_pose_tiny")
    renames = {"backbone.stages": "layers", "patch_embed.projection": "patch_embed.proj", "attn.w_msa": "attn"}
    renames |= {"ffn.layers.0.0": "mlp.fc1", "ffn.layers.1": "mlp.fc2", "backbone.": ""}
    microsoft = {}
    for key, tensor in tensors.items():
        if not key.startswith("backbone") or "norm3" in key:
            continue
        for old, new in renames.items():
            key = key.replace(old, new)
        if ".downsample." in key:
            # Index channel · 4 + 2 · row + column in mmpose's files, (2 · column + row) · C + channel in Microsoft's.
            c = tensor.shape[-1] // 4
            order = [channel * 4 + 2 * row + column for column in (0, 1) for row in (0, 1) for channel in range(c)]
            tensor = tensor[..., order]
        microsoft[key] = tensor
    unused = {"norm.weight": np.ones(9), "head.bias": np.ones(9), "layers.0.blocks.1.attn_mask": np.ones((4, 49, 49))}
    found = read_state_dict(microsoft | unused)
    assert found.model == model.clone(keypoints=0, head_width=256)
    expected = flatten_dict(read_state_dict(tensors).variables, sep="/")
    for path, array in flatten_dict(found.variables, sep="/").items():
        np.testing.assert_array_equal(array, expected[path], err_msg=path)
    assert names_of_mmpose({"norm.weight": np.ones(3)}).keys() == {"norm.weight"}


def test_windows_are_split_and_joined_row_by_row():
    x = jnp.arange(2 * 14 * 21 * 3).reshape(2, 14, 21, 3)
    parts = windows.split(x)
    assert parts.shape == (2 * 2 * 3, 49, 3)
    np.testing.assert_array_equal(parts[4], x[0, 7:, 7:14].reshape(49, 3))
    np.testing.assert_array_equal(windows.join(parts, 14, 21), x)


def test_relative_positions_have_the_rows_of_the_published_index():
    index = windows.relative_position_index()
    assert (index[0, 0], index[0, 48], index[48, 0], index[8, 0]) == (84, 0, 168, 98)
    table = np.arange(169 * 2, dtype=np.float32).reshape(169, 2)
    assert windows.relative_position_bias(table)[1, 8, 0] == table[98, 1]


def test_rolled_rows_and_columns_do_not_attend_to_their_new_neighbours():
    mask = shift_mask(14, 7)
    assert mask.shape == (2, 49, 49)
    # The upper window is cut between columns 3 and 4, where the map begins anew.
    assert (mask[0, 0, 3], mask[0, 0, 4], mask[0, 0, 42], mask[0, 0, 46]) == (0, -100, 0, -100)
    # The lower window is also cut between rows 3 and 4.
    assert (mask[1, 0, 21], mask[1, 0, 28], mask[1, 28, 42], mask[1, 0, 4]) == (0, -100, 0, -100)


@pytest.mark.parametrize("attention", [PaddedAttention(2, False), PaddedAttention(2, True), WindowAttention(2, False)])
def test_a_token_attends_to_its_window_only(attention):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 14, 7, 4)).astype(np.float32)
    variables = attention.init(jax.random.key(0), x)
    before = attention.apply(variables, x)
    x[0, 2, 3] += 1
    changed = np.abs(attention.apply(variables, x) - before).max(-1)[0] > 1e-7
    assert changed[:7].all()
    assert not changed[7:].any()


def test_positions_are_sines_and_cosines_of_row_and_column():
    table = sine_positions(3, 5, 8)
    assert table.shape == (15, 8)
    row, column = 2 * np.pi * 2 / 3.000001, 2 * np.pi * 4 / 5.000001  # of the token in row 2, column 4, from 1
    expected = [np.sin(row), np.cos(row), np.sin(row / 100), np.cos(row / 100)]
    expected += [np.sin(column), np.cos(column), np.sin(column / 100), np.cos(column / 100)]
    np.testing.assert_allclose(table[1 * 5 + 3], expected, rtol=1e-5)


def test_transpose_takes_other_sizes_and_tokenpose_only_its_own():
    model = networks.build("transpose_tiny", keypoints=3)
    heatmaps = jax.eval_shape(model.apply, variable_shapes(model), jnp.zeros((2, 48, 80, 3)))
    assert heatmaps.shape == (2, 12, 20, 3)
    sizes = ["model.name=tokenpose_tiny", "keypoint_set=coco_17"]
    assert PoseModel.from_config(change(default_config(), [*sizes, "input_size=(128,96)"])).shapes()
    with pytest.raises(UserError, match=r"input_size: .* fixes \(128, 96\), not \(256, 192\)"):
        PoseModel.from_config(change(default_config(), sizes))


def test_weights_of_another_form_or_size_are_named():
    authors = named_tensors("hrformer_tiny")
    del authors["backbone.stage3.0.branches.1.0.mlp.fc1.weight"]
    with pytest.raises(
        UserError, match=r"recognised as HRFormer with keypoints 17, width 12.*missing: backbone\.stage3"
    ):
        read_state_dict(authors)
    mixed = {key.replace("keypoint_head", "head"): tensor for key, tensor in named_tensors("swin_pose_tiny").items()}
    with pytest.raises(UserError, match="belongs to a supported network"):
        read_state_dict(mixed)


def test_layer_decay_depths_follow_the_order_of_the_layers():
    def depths(name):
        tree = networks.find(name).layer_decay_depths(shapes(name))
        return {path: int(depth) for path, depth in flatten_dict(tree, sep="/").items()}

    swin = depths("swin_pose_b")
    assert [swin[path] for path in ("patch_embed.projection/kernel", "stages.0.blocks.0/norm1/scale")] == [25, 24]
    assert [swin[f"stages.{i}.downsample/norm/bias"] for i in range(3)] == [23, 21, 3]
    assert [swin[path] for path in ("stages.3.blocks.1/norm1/scale", "norm3/scale", "deconv1/kernel")] == [1, 1, 0]
    transpose = depths("transpose_h_a6")  # stem, 4 bottlenecks, 4 + 16 blocks, 6 layers
    assert [transpose[path] for path in ("conv1/kernel", "reduce/kernel", "final_layer/bias")] == [31, 6, 0]
    token = depths("tokenpose_l_d24")
    assert [token[path] for path in ("conv1/kernel", "patch_to_embedding/bias", "keypoint_token")] == [49, 24, 0]
    assert token["transformer3.layers.7/0.fn.norm/scale"] == 1
    assert token["mlp_head.1/kernel"] == 0
    assert depths("hrformer_b")["conv1/kernel"] == 1 + 2 + 14


def test_drop_path_rises_over_the_blocks_of_all_modules():
    model = HRFormer(keypoints=2, width=4, modules=(1, 2), blocks=2, bottlenecks=1, drop_path=0.5)
    rates = []

    def note(next_call, args, kwargs, context):
        if type(context.module).__name__ == "Block" and context.method_name == "__call__":
            rates.append(context.module.rate)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    assert rates == pytest.approx([0, 0.1] * 2 + [0.2, 0.3] * 3 + [0.4, 0.5] * 3)
