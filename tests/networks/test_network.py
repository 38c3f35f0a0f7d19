"""Tests of layer-decay depths against numbers counted by hand."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from trees import shapes

from aggpose_jax import networks


def depths(name: str) -> dict:
    """Returns the layer-decay depth of each path as a list: one number, or those of stacked blocks."""
    tree = networks.find(name).layer_decay_depths(shapes(name))
    assert jax.tree.structure(tree) == jax.tree.structure(shapes(name))
    return {path: array.ravel().tolist() for path, array in flatten_dict(tree, sep="/").items()}


def test_depths_of_a_plain_mix_transformer():
    # The stages have 3, 4, 6 and 3 blocks. The last of these 16 blocks has depth 1, the first depth 16.
    found = depths("mit_pose_b2")
    expected = {
        "encoder/embed1/proj/kernel": [17],
        "encoder/stage1/blocks/attention/q/kernel": [16, 15, 14],
        "encoder/stage1/norm/scale": [14],
        "encoder/embed2/norm/bias": [14],
        "encoder/stage2/blocks/norm1/scale": [13, 12, 11, 10],
        "encoder/stage3/blocks/ffn/depthwise_kernel": [9, 8, 7, 6, 5, 4],
        "encoder/embed4/proj/kernel": [4],
        "encoder/stage4/blocks/ffn/fc2/bias": [3, 2, 1],
        "encoder/stage4/norm/scale": [1],
        "fuse1/fc1/kernel": [0],
        "head/fc2/bias": [0],
    }
    assert {path: found[path] for path in expected} == expected


def test_depths_of_aggpose():
    # The columns have 3, max(4, 3) = 4, max(6, 3, 3) = 6 and 3 layers: 16, as in the backbone.
    found = depths("aggpose_s")
    expected = {
        "embed1/proj/kernel": [17],
        "stage1_1/blocks/norm1/scale": [16, 15, 14],
        "embed2/proj/kernel": [14],
        "stage1_2/blocks/norm1/scale": [13, 12, 11],
        "stage1_2/norm/scale": [11],
        "stage2_2/blocks/norm1/scale": [13, 12, 11, 10],
        "merge1_2/fc1/kernel": [10],
        "up1_2/fc1/kernel": [10],
        "down2_2/proj/kernel": [10],
        "embed3/proj/kernel": [10],
        "stage2_3/blocks/norm1/scale": [9, 8, 7],
        "stage3_3/blocks/norm1/scale": [9, 8, 7, 6, 5, 4],
        "merge3_3/fc1/kernel": [4],
        "stage1_4/blocks/norm1/scale": [3, 2, 1],
        "merge4_4/fc2/bias": [1],
        "head_up2/fc1/kernel": [0],
        "head_merge/fc1/kernel": [0],
        "head/fc2/kernel": [0],
    }
    assert {path: found[path] for path in expected} == expected


def test_depths_of_a_residual_network():
    # The layers have 3, 4, 6 and 3 bottlenecks.
    found = depths("simple_baseline_50")
    expected = {
        "conv1/kernel": [17],
        "bn1/scale": [17],
        "layer1/first/shortcut_conv/kernel": [16],
        "layer1/blocks/conv1/kernel": [15, 14],
        "layer2/first/bn1/bias": [13],
        "layer2/blocks/bn3/scale": [12, 11, 10],
        "layer4/first/conv3/kernel": [3],
        "layer4/blocks/conv3/kernel": [2, 1],
        "deconv1/kernel": [0],
        "deconv3_bn/scale": [0],
        "head/bias": [0],
    }
    assert {path: found[path] for path in expected} == expected


@pytest.mark.parametrize(
    ("name", "blocks"), [("simple_baseline_152", 50), ("aggpose_l", 52), ("mit_pose_b0", 8), ("aggpose_demo", 3)]
)
def test_depths_broadcast_to_the_shapes_of_parameters(name, blocks):
    params, tree = shapes(name), networks.find(name).layer_decay_depths(shapes(name))
    for leaf, depth in zip(jax.tree.leaves(params), jax.tree.leaves(tree), strict=True):
        assert np.broadcast_shapes(leaf.shape, depth.shape) == leaf.shape
        assert depth.size in (1, leaf.shape[0])
    assert max(depth.max() for depth in jax.tree.leaves(tree)) == blocks + 1
