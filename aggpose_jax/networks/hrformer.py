"""HRFormer: transformer blocks in windows on parallel branches of several resolutions (Yuan et al. 2021)."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import depthwise, multi_resolution, ops, windows
from aggpose_jax.networks.batch_norm import BatchNorm, batch_counters
from aggpose_jax.networks.layers import LayerNorm
from aggpose_jax.networks.multi_resolution import init
from aggpose_jax.networks.network import Network, StateDictForm
from aggpose_jax.networks.residual import SHORTCUT
from aggpose_jax.networks.transformer import (
    attention_weights,
    drop_path,
    drop_path_rates,
    weighted_values,
)
from aggpose_jax.networks.weight_table import Table, features, named_entries

STRIDE = 32
HEAD = "final_layer"
ENCODER = "backbone"  # prefix of all other names in published weights
EXPANSION = 4  # ratio of the channels of a block's hidden layers to those of the block
VARIANTS: dict[str, dict[str, Any]] = {
    "b": {"width": 78},
    "b_mmpose": {"width": 78, "relative_bias": True},
    "tiny": {"width": 12, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1},
}
linear_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # ±1 / √fan-in


def bias_init(fan_in: int):
    """Returns the initialisation of the biases of a linear layer, uniform between ±1 / √fan_in."""
    return lambda rng, shape, dtype: jax.random.uniform(rng, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)


class WindowAttention(nn.Module):
    """A multi-head attention inside of windows of 7×7: [B, H, W, C] → [B, H, W, C].

    The map is padded on all sides with zeros, which take part as keys. The form of mmpose has one layer for queries,
    keys and values and adds a relative position bias. That of the authors has three layers, and does not use its table.

    Attributes:
      heads: number of attention heads.
      relative_bias: mmpose's form instead of the authors'.
      dtype: type of activations and products.
    """

    heads: int
    relative_bias: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        _, h, w, c = x.shape
        before = [-side % windows.SIDE // 2 for side in (h, w)]
        after = [-side % windows.SIDE - left for side, left in zip((h, w), before, strict=True)]
        padded = jnp.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
        y = windows.split(padded)
        queries, keys, values = (part.reshape(*y.shape[:2], self.heads, -1) for part in self.project(y))
        table = windows.bias_table(self, self.heads)
        bias = windows.relative_position_bias(table) if self.relative_bias else 0.0
        y = weighted_values(attention_weights(queries, keys, bias), values)
        y = self.linear(c, "proj" if self.relative_bias else "out_proj")(y)
        y = windows.join(y, *padded.shape[1:3])
        return y[:, before[0] : before[0] + h, before[1] : before[1] + w]

    def project(self, x):
        """Returns queries, keys and values, each like x."""
        c = x.shape[-1]
        if self.relative_bias:
            return jnp.split(self.linear(3 * c, "qkv", c)(x), 3, axis=-1)
        return [self.linear(c, name)(x) for name in ("q_proj", "k_proj", "v_proj")]

    def linear(self, features: int, name: str, fan_in: int = 0):
        """Returns a linear layer; `fan_in` is its number of inputs if it differs from `features`."""
        bias = bias_init(fan_in or features)
        return nn.Dense(features, dtype=self.dtype, kernel_init=linear_init, bias_init=bias, name=name)


class DepthwiseConvolution(nn.Module):
    """A depthwise 3×3 convolution, padded by 1: [B, H, W, C] → [B, H / stride, W / stride, C]."""

    stride: int
    use_bias: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        c = x.shape[-1]
        x = depthwise.convolve(x, self.param("kernel", init, (3, 3, c), jnp.float32).astype(self.dtype), self.stride)
        if not self.use_bias:
            return x
        return x + self.param("bias", nn.initializers.zeros, (c,), jnp.float32).astype(self.dtype)


class ConvolutionalMLP(nn.Module):
    """Two 1×1 convolutions and a depthwise one between them, each with BatchNorm and GELU: [B, H, W, C] → the same."""

    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        c = x.shape[-1]
        x = nn.Conv(EXPANSION * c, (1, 1), dtype=self.dtype, kernel_init=init, name="fc1")(x)
        x = self.norm_gelu(x, "norm1")
        x = self.norm_gelu(DepthwiseConvolution(1, True, self.dtype, name="dw3x3")(x), "norm2")
        x = nn.Conv(c, (1, 1), dtype=self.dtype, kernel_init=init, name="fc2")(x)
        return self.norm_gelu(x, "norm3")

    def norm_gelu(self, x, name: str):
        """Returns x after a BatchNorm and the exact GELU."""
        return nn.gelu(BatchNorm(name=name)(x, not self.train), approximate=False)


class Block(nn.Module):
    """A transformer block: attention inside of windows, and a convolutional MLP: [B, H, W, C] → [B, H, W, C].

    Attributes:
      heads: number of attention heads.
      relative_bias: see `WindowAttention`.
      rate: drop-path rate.
      train: whether drop path is active and BatchNorm uses the statistics of the batch.
      dtype: type of activations and products.
    """

    heads: int
    relative_bias: bool
    rate: float
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        y = LayerNorm(1e-6, self.dtype, name="norm1")(x)
        x = x + self.drop_path(WindowAttention(self.heads, self.relative_bias, self.dtype, name="attn.attn")(y))
        y = LayerNorm(1e-6, self.dtype, name="norm2")(x)
        mlp = ConvolutionalMLP(self.train, self.dtype, name="ffn" if self.relative_bias else "mlp")
        return x + self.drop_path(mlp(y))

    def drop_path(self, y):
        """Returns the branch y, in training after drop path."""
        return drop_path(y, self.rate, self.make_rng("drop_path")) if self.train and self.rate else y


class Module(multi_resolution.Module):
    """A module of transformer blocks. Further attributes are those of `multi_resolution.Module`.

    Attributes:
      rates: drop-path rate of each block, for all branches.
      relative_bias: see `WindowAttention`.
    """

    rates: Sequence[float] = ()
    relative_bias: bool = False

    def run_blocks(self, x, branch: int):
        """Returns the map of a branch after its transformer blocks."""
        for i, rate in enumerate(self.rates):
            name = f"branches.{branch}.{i}"
            x = Block(2 ** (branch + 1), self.relative_bias, rate, self.train, self.dtype, name=name)(x)
        return x

    def halve(self, x, features: int, is_last: bool, name: str):
        """Returns a map after a depthwise convolution of stride 2 and a 1×1, with a ReLU unless they are the last."""
        x = Reduction(features, self.train, self.dtype, name=name)(x)
        return x if is_last else nn.relu(x)

    def enlarge(self, x, factor: int):
        """Returns a map enlarged by bilinear interpolation between the centres of pixels."""
        return ops.upsample_bilinear(x, factor)


class Reduction(nn.Module):
    """A depthwise convolution of stride 2 and a 1×1 one, with BatchNorm: [B, H, W, C] → [B, H/2, W/2, features]."""

    features: int
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = BatchNorm(name="1")(DepthwiseConvolution(2, False, self.dtype, name="0")(x), not self.train)
        x = nn.Conv(self.features, (1, 1), use_bias=False, dtype=self.dtype, kernel_init=init, name="2")(x)
        return BatchNorm(name="3")(x, not self.train)


class HRFormer(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 32.

    Attributes:
      keypoints: number of keypoints K.
      width: channels of the finest branch; each coarser one has twice as many, and twice as many attention heads.
      modules: number of modules of stages 2, 3 and 4, which have 2, 3 and 4 branches.
      blocks: number of transformer blocks of each branch in a module.
      bottlenecks: number of bottlenecks after the stem.
      relative_bias: the form of mmpose instead of the authors', see `WindowAttention`.
      drop_path: drop-path rate of the last blocks; it rises linearly from 0.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    width: int
    modules: Sequence[int] = (1, 4, 2)
    blocks: int = 2
    bottlenecks: int = 2
    relative_bias: bool = False
    drop_path: float = 0.2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        widths = [self.width * 2**i for i in range(len(self.modules) + 1)]
        rates = iter(drop_path_rates([self.blocks] * sum(self.modules), self.drop_path))

        def make_module(widths, outputs, name):
            kind = functools.partial(Module, rates=next(rates), relative_bias=self.relative_bias)
            return kind(widths, outputs, train, self.dtype, name=name)

        x = multi_resolution.run_trunk(images, train, widths, self.modules, self.bottlenecks, make_module, self.dtype)
        x = nn.Conv(self.keypoints, (1, 1), dtype=self.dtype, kernel_init=init, name=HEAD)(x)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))


def table(model: HRFormer) -> Table:
    """Returns the weight table of published weights, which relates their tensors to the variables of the network."""

    def name(variable: str) -> str:
        return f"{'keypoint_head' if variable.startswith(HEAD) else ENCODER}.{variable}"

    entries = named_entries(model, (STRIDE, STRIDE), SHORTCUT, name)
    return [*entries, *batch_counters(entries), *windows.position_indices(entries)]


def imagenet_table(model: HRFormer) -> Table:
    """Returns the weight table of an ImageNet encoder: that of published weights without prefix and head."""
    entries = named_entries(model, (STRIDE, STRIDE), SHORTCUT, lambda name: name)
    encoder = [entry for entry in entries if entry.path[1] != HEAD]
    return [*encoder, *batch_counters(encoder), *windows.position_indices(encoder)]


def fields(tensors: Mapping[str, np.ndarray], relative_bias: bool, prefix: str = f"{ENCODER}.") -> dict[str, Any]:
    """Returns the fields of `HRFormer` that follow from the names and shapes of the tensors in a state dict.

    The number of keypoints is 0 for an encoder without the pose head. `prefix` is that of the names of the encoder.
    """
    keypoints = features(tensors, f"keypoint_head.{HEAD}", missing=0)
    trunk = multi_resolution.trunk_fields(tensors, prefix, "blocks")
    return {"keypoints": keypoints, **trunk, "relative_bias": relative_bias}


def forms(name: str, mark: str, relative_bias: bool) -> tuple[StateDictForm[HRFormer], StateDictForm[HRFormer]]:
    """Returns the forms of a pose network and of an ImageNet classifier with the same attention.

    Args:
      name: name of the form of the pose network.
      mark: name of a layer that only this kind of attention has.
      relative_bias: whether the attention has a relative position bias, see `WindowAttention`.
    """
    attention = rf"stage2\.0\.branches\.0\.0\.attn\.attn\.{mark}"
    read = functools.partial(fields, relative_bias=relative_bias)
    pose = StateDictForm(name, rf"{ENCODER}\.{attention}", read, table)
    # The classifiers have another last layer, and their last module makes all branches.
    unused = (
        r"(incre_modules|downsamp_modules|classifier|final_layer|head|fc|norm)\..*|stage4\.1\.fuse_layers\.[123]\..*"
    )
    read = functools.partial(read, prefix="")
    return pose, StateDictForm(f"{name} of ImageNet", attention, read, imagenet_table, unused=unused)


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the encoder of a network, see `Network.backbone`."""
    sizes = {"modules": HRFormer.modules, "blocks": HRFormer.blocks, "relative_bias": False, **fields}
    kind = "HRFormer of mmpose" if sizes["relative_bias"] else "HRFormer"
    return kind, sizes["width"], tuple(sizes["modules"]), sizes["blocks"]


NETWORK = Network(
    module=HRFormer,
    variants=VARIANTS,
    stride=STRIDE,
    depths=multi_resolution.layer_decay_depths,
    backbone=backbone,
    state_dicts=(*forms("HRFormer", "q_proj", False), *forms("HRFormer of mmpose", "qkv", True)),
    head=HEAD,
    keypoints_at=f"params/{HEAD}/bias",
)
