"""Swin Transformer for poses: attention in shifted windows, and a head of mmpose (Liu et al. 2021)."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import ops, windows
from aggpose_jax.networks.batch_norm import batch_counters
from aggpose_jax.networks.deconvolution_head import head_entries, head_init, run_head
from aggpose_jax.networks.layers import LayerNorm
from aggpose_jax.networks.network import Network, StateDictForm, Tensors, depths_in_order
from aggpose_jax.networks.transformer import (
    attention_weights,
    drop_path,
    drop_path_rates,
    weighted_values,
)
from aggpose_jax.networks.weight_table import Entry, Table, features, named_entries

STRIDE = 32
PATCH = 4  # side of the patches of the embedding
SHIFT = 3  # rows and columns by which every second block shifts its windows
EXPANSION = 4  # ratio of the channels of a block's hidden layer to those of the block
MASKED = -100.0  # what is added to the scores of tokens that are neighbours only because of the shift
EPSILON = 1e-5
BLOCK = r"stages\.(\d)\.blocks\.(\d+)/"  # paths of the parameters of a block
VARIANTS: dict[str, dict[str, Any]] = {
    "b": {},
    "b_pyramid": {"pyramid": True},
    "tiny": {"width": 16, "depths": (1, 1, 2, 1), "heads": (1, 2, 4, 8), "head_width": 32},
}
linear_init = nn.initializers.truncated_normal(0.02)


class WindowAttention(nn.Module):
    """A multi-head attention inside of windows of 7×7 with relative position bias: [B, H, W, C] → [B, H, W, C].

    Attributes:
      heads: number of attention heads.
      shifted: whether the windows are shifted by three rows and columns.
      dtype: type of activations and products.
    """

    heads: int
    shifted: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        b, h, w, c = x.shape
        padded = jnp.pad(x, ((0, 0), (0, -h % windows.SIDE), (0, -w % windows.SIDE), (0, 0)))
        height, width = padded.shape[1:3]
        bias = windows.relative_position_bias(windows.bias_table(self, self.heads))
        if self.shifted:
            padded = jnp.roll(padded, (-SHIFT, -SHIFT), (1, 2))
            bias = bias + jnp.tile(shift_mask(height, width), (b, 1, 1))[:, None]
        y = windows.split(padded)
        y = nn.Dense(3 * c, dtype=self.dtype, kernel_init=linear_init, name="qkv")(y)
        queries, keys, values = jnp.moveaxis(y.reshape(*y.shape[:2], 3, self.heads, -1), 2, 0)
        y = weighted_values(attention_weights(queries, keys, bias), values)
        y = windows.join(nn.Dense(c, dtype=self.dtype, kernel_init=linear_init, name="proj")(y), height, width)
        y = jnp.roll(y, (SHIFT, SHIFT), (1, 2)) if self.shifted else y
        return y[:, :h, :w]


@functools.lru_cache(maxsize=16)
def shift_mask(height: int, width: int) -> np.ndarray:
    """Returns what is added to the scores in the windows of a shifted map, float32 [windows, 49, 49].

    Rows and columns that were rolled from the other side of the map do not attend to the others of their window.
    """

    def parts(side: int) -> np.ndarray:
        return np.searchsorted((side - windows.SIDE, side - SHIFT), np.arange(side), side="right")

    labels = 3 * parts(height)[:, None] + parts(width)
    in_windows = np.asarray(windows.split(labels[None, ..., None]))[..., 0]
    return np.where(in_windows[:, :, None] != in_windows[:, None], MASKED, 0).astype(np.float32)


class Block(nn.Module):
    """A transformer block: attention in windows, and a hidden layer: [B, H, W, C] → [B, H, W, C].

    Attributes:
      heads, shifted: see `WindowAttention`.
      rate: drop-path rate.
      train: whether drop path is active.
      dtype: type of activations and products.
    """

    heads: int
    shifted: bool
    rate: float
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        c = x.shape[-1]
        y = LayerNorm(EPSILON, self.dtype, name="norm1")(x)
        x = x + self.drop_path(WindowAttention(self.heads, self.shifted, self.dtype, name="attn.w_msa")(y))
        y = LayerNorm(EPSILON, self.dtype, name="norm2")(x)
        y = nn.Dense(EXPANSION * c, dtype=self.dtype, kernel_init=linear_init, name="ffn.layers.0.0")(y)
        y = nn.gelu(y, approximate=False)
        return x + self.drop_path(nn.Dense(c, dtype=self.dtype, kernel_init=linear_init, name="ffn.layers.1")(y))

    def drop_path(self, y):
        """Returns the branch y, in training after drop path."""
        return drop_path(y, self.rate, self.make_rng("drop_path")) if self.train and self.rate else y


class Merging(nn.Module):
    """Patches of 2×2 tokens as one token: [B, H, W, C] → [B, H/2, W/2, 2C]."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4).reshape(b, h // 2, w // 2, 4 * c)
        x = LayerNorm(EPSILON, self.dtype, name="norm")(x)
        return nn.Dense(2 * c, use_bias=False, dtype=self.dtype, kernel_init=linear_init, name="reduction")(x)


class SwinPose(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 32.

    Attributes:
      keypoints: number of keypoints K.
      width: channels of the first stage; each later one has twice as many.
      depths: numbers of blocks of the four stages.
      heads: numbers of attention heads of the four stages.
      pyramid: a feature pyramid of all stages instead of transposed convolutions of the last one.
      head_width: channels of the transposed convolutions or of the pyramid.
      drop_path: drop-path rate of the last block; it rises linearly from 0.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    width: int = 128
    depths: Sequence[int] = (2, 2, 18, 2)
    heads: Sequence[int] = (4, 8, 16, 32)
    pyramid: bool = False
    head_width: int = 256
    drop_path: float = 0.3
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = images.astype(self.dtype)
        size = (PATCH, PATCH)
        x = nn.Conv(self.width, size, size, "VALID", dtype=self.dtype, name="patch_embed.projection")(x)
        x = LayerNorm(EPSILON, self.dtype, name="patch_embed.norm")(x)
        stages, last = [], len(self.depths) - 1
        for stage, rates in enumerate(drop_path_rates(self.depths, self.drop_path)):
            for i, rate in enumerate(rates):
                block = Block(self.heads[stage], i % 2 == 1, rate, train, self.dtype, name=f"stages.{stage}.blocks.{i}")
                x = block(x)
            stages.append(x)
            if stage < last:
                x = Merging(self.dtype, name=f"stages.{stage}.downsample")(x)
        x = self.run_pyramid(stages) if self.pyramid else self.run_deconvolutions(x, train)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))

    def run_deconvolutions(self, x, train: bool):
        """Returns the heatmaps from the last stage, by transposed convolutions."""
        x = LayerNorm(EPSILON, self.dtype, name="norm3")(x)
        return run_head(x, train, self.keypoints, self.head_width, self.dtype)

    def run_pyramid(self, stages: Sequence[jax.Array]):
        """Returns the heatmaps from all stages, which are added up from the coarsest to the finest.

        As in published weights, there is a convolution for each stage, of which only that of the finest is used.
        """
        width = self.head_width
        laterals = []
        for i, x in enumerate(stages):
            x = LayerNorm(EPSILON, self.dtype, name=f"norm{i}")(x)
            laterals.append(nn.Conv(width, (1, 1), dtype=self.dtype, name=f"neck.lateral_convs.{i}.conv")(x))
        summed = laterals[-1:]
        for lateral in reversed(laterals[:-1]):
            summed.insert(0, lateral + ops.upsample_bilinear(summed[0], 2))
        finest, *_ = [
            nn.Conv(width, (3, 3), padding=1, dtype=self.dtype, name=f"neck.fpn_convs.{i}.conv")(x)
            for i, x in enumerate(summed)
        ]
        return nn.Conv(self.keypoints, (1, 1), dtype=self.dtype, kernel_init=head_init, name="head")(finest)


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`. Every block is a layer."""
    blocks = [tuple(map(int, found.groups())) for path in params if (found := re.match(BLOCK, path))]
    last = {stage: max(i for s, i in blocks if s == stage) for stage, _ in blocks}

    def order(path: str) -> tuple[int, ...] | None:
        if path.startswith("patch_embed"):
            return (-1,)
        if found := re.match(BLOCK, path):
            return int(found[1]), int(found[2])
        if found := re.match(r"(?:stages\.|norm)(\d)", path):
            return int(found[1]), last[int(found[1])]
        return None

    return depths_in_order(params, order)


def encoder_entries(model: SwinPose, prefix: str) -> list[Entry]:
    """Returns the weight table entries of all but the head and the pyramid; names start with `prefix`."""
    entries = named_entries(model, (STRIDE, STRIDE), {}, lambda name: prefix + name)
    return [entry for entry in entries if not re.match(r"deconv\d|head|neck", entry.path[1])]


def encoder_table(model: SwinPose) -> Table:
    """Returns the weight table of an encoder of ImageNet, which has no LayerNorm after its stages."""
    entries = [entry for entry in encoder_entries(model, "") if not re.match(r"norm\d", entry.path[1])]
    return [*entries, *windows.position_indices(entries)]


def table(model: SwinPose) -> Table:
    """Returns the weight table of mmpose's weights, which relates their tensors to the variables of the network."""
    entries = encoder_entries(model, "backbone.")
    if model.pyramid:
        rest = named_entries(model, (STRIDE, STRIDE), {"head": "keypoint_head.final_layer"}, lambda name: name)
        entries += [entry for entry in rest if re.match("head|neck", entry.path[1])]
    else:
        entries += head_entries("keypoint_head.")
    return [*entries, *batch_counters(entries), *windows.position_indices(entries)]


def fields(tensors: Tensors, prefix: str = "backbone.", pyramid: bool = False) -> dict[str, Any]:
    """Returns the fields of `SwinPose` that follow from the names and shapes of the tensors in a state dict."""
    found = [re.match(rf"{re.escape(prefix)}stages\.(\d)\.blocks\.(\d{{1,3}})\.", name) for name in tensors]
    blocks = [(int(block[1]), int(block[2])) for block in found if block]
    names = [f"{prefix}stages.{i}.blocks.0.attn.w_msa.{windows.TABLE}" for i in range(4)]
    width = "neck.lateral_convs.0.conv" if pyramid else "keypoint_head.deconv_layers.1"
    return {
        "keypoints": features(tensors, "keypoint_head.final_layer", missing=0),
        "width": features(tensors, f"{prefix}patch_embed.projection", missing=SwinPose.width),
        "depths": tuple(max((j + 1 for i, j in blocks if i == stage), default=1) for stage in range(4)),
        "heads": tuple(tensors[name].shape[-1] if name in tensors else 1 for name in names),
        "pyramid": pyramid,
        "head_width": features(tensors, width, missing=SwinPose.head_width),
    }


def names_of_mmpose(tensors: Tensors) -> Tensors:
    """Returns tensors in Microsoft's naming in that of mmpose; others are returned as they are.

    The four neighbours that a merging joins come one after the other in Microsoft's files, (row, column) = (0, 0),
    (1, 0), (0, 1), (1, 1), and channel by channel in mmpose's, (0, 0), (0, 1), (1, 0), (1, 1).
    """
    if "layers.0.blocks.0.attn.qkv.weight" not in tensors:
        return tensors
    renamed = {}
    for name, tensor in tensors.items():
        new = re.sub(r"^layers\.", "stages.", name).replace(".attn.", ".attn.w_msa.")
        new = new.replace("patch_embed.proj.", "patch_embed.projection.")
        new = new.replace(".mlp.fc1.", ".ffn.layers.0.0.").replace(".mlp.fc2.", ".ffn.layers.1.")
        if re.search(r"\.downsample\.(norm|reduction)\.", name):
            tensor = tensor.reshape(*tensor.shape[:-1], 2, 2, -1)  # column, row, channel
            tensor = np.moveaxis(tensor, -1, -3).swapaxes(-1, -2).reshape(*tensor.shape[:-3], -1)
        renamed[new] = tensor
    return renamed


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the encoder of a network, see `Network.backbone`."""
    sizes = {"width": SwinPose.width, "depths": SwinPose.depths, "heads": SwinPose.heads, **fields}
    return "Swin Transformer", sizes["width"], tuple(sizes["depths"]), tuple(sizes["heads"])


FIRST_BLOCK = r"backbone\.stages\.0\.blocks\.0\."
NETWORK = Network(
    module=SwinPose,
    variants=VARIANTS,
    stride=STRIDE,
    depths=layer_decay_depths,
    backbone=backbone,
    state_dicts=(
        StateDictForm(
            "Swin", FIRST_BLOCK, fields, table, also=r"keypoint_head\.deconv", unused=r"backbone\.norm[012]\..*"
        ),
        StateDictForm(
            "Swin with feature pyramid", FIRST_BLOCK, functools.partial(fields, pyramid=True), table, also=r"neck\."
        ),
        StateDictForm(
            "Swin of ImageNet",
            r"layers\.0\.blocks\.0\.attn\.qkv",
            functools.partial(fields, prefix=""),
            encoder_table,
            unused=r"(norm|head)\..*|.*\.attn_mask",
            rename=names_of_mmpose,
        ),
    ),
    head="head",
    keypoints_at="params/head/bias",
)
