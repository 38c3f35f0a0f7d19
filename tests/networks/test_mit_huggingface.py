"""Tests of the conversion of Hugging Face's names, and of feature maps against those of Hugging Face's Segformer."""

import jax
import numpy as np
import pytest
from reference import manifest
from trees import blank

from aggpose_jax.networks import mit
from aggpose_jax.networks.mit import BLOCK_EPSILON, EMBED_EPSILON, HEADS, REDUCTIONS, STRIDES, MixTransformer
from aggpose_jax.networks.mit_huggingface import original_tensors
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import read_state_dict

NAMES = {  # (name in published files, name in modules since transformers 5): original name
    ("encoder.patch_embeddings.2.proj.weight", "stages.2.patch_embeddings.proj.weight"): "patch_embed3.proj.weight",
    (
        "encoder.patch_embeddings.0.layer_norm.bias",
        "stages.0.patch_embeddings.layer_norm.bias",
    ): "patch_embed1.norm.bias",
    ("encoder.block.1.12.layer_norm_1.bias", "stages.1.blocks.12.layernorm_before.bias"): "block2.12.norm1.bias",
    ("encoder.block.1.12.layer_norm_2.bias", "stages.1.blocks.12.layernorm_after.bias"): "block2.12.norm2.bias",
    (
        "encoder.block.0.0.attention.self.query.weight",
        "stages.0.blocks.0.attention.q_proj.weight",
    ): "block1.0.attn.q.weight",
    (
        "encoder.block.0.0.attention.self.sr.bias",
        "stages.0.blocks.0.attention.sequence_reduction.sequence_reduction.bias",
    ): "block1.0.attn.sr.bias",
    (
        "encoder.block.0.0.attention.self.layer_norm.bias",
        "stages.0.blocks.0.attention.sequence_reduction.layer_norm.bias",
    ): "block1.0.attn.norm.bias",
    (
        "encoder.block.0.0.attention.output.dense.weight",
        "stages.0.blocks.0.attention.o_proj.weight",
    ): "block1.0.attn.proj.weight",
    ("encoder.block.3.2.mlp.dense1.weight", "stages.3.blocks.2.mlp.fc1.weight"): "block4.2.mlp.fc1.weight",
    ("encoder.block.3.2.mlp.dense2.weight", "stages.3.blocks.2.mlp.fc2.weight"): "block4.2.mlp.fc2.weight",
    (
        "encoder.block.3.2.mlp.dwconv.dwconv.weight",
        "stages.3.blocks.2.mlp.dwconv.dwconv.weight",
    ): "block4.2.mlp.dwconv.dwconv.weight",
    ("encoder.layer_norm.3.weight", "stages.3.layer_norm.weight"): "norm4.weight",
}


@pytest.mark.parametrize("prefix", ["", "segformer."])
@pytest.mark.parametrize("form", [0, 1])
def test_every_kind_of_name_is_converted(form, prefix):
    for names, original in NAMES.items():
        assert original_tensors({prefix + names[form]: np.zeros(1)}).keys() == {original}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (
            "segformer.encoder.block.2.1.attention.self.key.bias",
            "segformer.encoder.block.2.1.attention.self.value.bias",
        ),
        ("stages.2.blocks.1.attention.k_proj.bias", "stages.2.blocks.1.attention.v_proj.bias"),
    ],
)
def test_keys_are_concatenated_before_values(key, value):
    found = original_tensors({value: np.array([3.0, 4.0]), key: np.array([1.0, 2.0])})
    assert found.keys() == {"block3.1.attn.kv.bias"}
    np.testing.assert_array_equal(found["block3.1.attn.kv.bias"], [1, 2, 3, 4])


def test_heads_are_removed_and_other_networks_are_unchanged():
    name = "segformer.encoder.layer_norm.0.bias"
    assert original_tensors({name: 0, "classifier.bias": 0, "decode_head.linear_c.0.proj.bias": 0}).keys() == {
        "norm1.bias"
    }
    others = {"classifier.bias": 0, "block1.0.norm1.bias": 0}
    assert original_tensors(others) == others


def test_a_published_state_dict_is_read_as_an_encoder():
    tensors = {name: np.zeros(shape, np.float32) for name, shape in manifest("huggingface_mit_b0").items()}
    assert len(tensors) == 194
    expected = jax.tree.map(np.shape, blank("mit_pose_b0")["encoder"])
    for prefix in ("", "segformer."):
        found = {name.replace("segformer.", prefix): tensor for name, tensor in tensors.items()}
        assert jax.tree.map(np.shape, read_state_dict(found).variables["params"]) == {"encoder": expected}


@pytest.mark.extras
def test_feature_maps_equal_those_of_hugging_face(torch, transformers, tmp_path):
    widths, depths = mit.VARIANTS["tiny"][0], (2, 1, 3, 2)
    config = transformers.SegformerConfig(
        depths=list(depths), hidden_sizes=list(widths), num_attention_heads=list(HEADS), sr_ratios=list(REDUCTIONS)
    )
    torch.manual_seed(0)
    reference = transformers.SegformerModel(config).eval()
    for name, parameter in reference.named_parameters():  # Initial biases of 0 and scales of 1 would hide swaps.
        torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0, 0.1)
    for name, module in reference.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = EMBED_EPSILON if "embed" in name or "reduction" in name or "self" in name else BLOCK_EPSILON
    reference.save_pretrained(tmp_path)

    image = np.random.default_rng(0).standard_normal((2, 64, 96, 3)).astype(np.float32)
    with torch.no_grad():
        output = reference(torch.from_numpy(image.transpose(0, 3, 1, 2).copy()), output_hidden_states=True)
    found = read_state_dict(weight_files.read(tmp_path / "model.safetensors")).variables["params"]
    features = jax.jit(MixTransformer(widths, depths, unroll=1).apply)({"params": found["encoder"]}, image)
    for feature, expected, stride in zip(features, output.hidden_states, STRIDES, strict=True):
        expected = expected.numpy().transpose(0, 2, 3, 1)
        assert feature.shape == expected.shape == (2, 64 // stride, 96 // stride, expected.shape[-1])
        np.testing.assert_allclose(feature, expected, atol=1e-4, rtol=0)
