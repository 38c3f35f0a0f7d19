"""TransPose-H: an HRNet up to its third stage, and a transformer encoder on all of its tokens (Yang et al. 2021)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import hrnet, multi_resolution
from aggpose_jax.networks.batch_norm import batch_counters
from aggpose_jax.networks.layers import LayerNorm
from aggpose_jax.networks.multi_resolution import init
from aggpose_jax.networks.network import Network, StateDictForm, depths_in_order
from aggpose_jax.networks.positions import sine_positions
from aggpose_jax.networks.residual import SHORTCUT
from aggpose_jax.networks.transformer import attention_weights, weighted_values
from aggpose_jax.networks.weight_table import Constant, Table, features, named_entries

STRIDE = 16
HEAD = "final_layer"
PUBLISHED_MAP = (64, 48)  # size of the map whose positions the published files contain
VARIANTS: dict[str, dict[str, Any]] = {
    "h_a6": {"width": 48, "layers": 6, "channels": 96, "hidden": 192},
    "h_a4": {"width": 48, "layers": 4, "channels": 96, "hidden": 192},
    "h_s": {"width": 32, "layers": 4, "channels": 64, "hidden": 128},
    "tiny": {"width": 8, "layers": 2, "channels": 16, "hidden": 32, "modules": (1, 1), "blocks": 1, "bottlenecks": 1},
}
xavier = nn.initializers.xavier_uniform()
xavier_of_rows = nn.initializers.xavier_uniform(in_axis=1, out_axis=0)  # of a matrix stored as in PyTorch, (out, in)


class SelfAttention(nn.Module):
    """An attention of one head whose positions enter queries and keys only: [B, N, C] → [B, N, C]."""

    dropout: float
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, positions):
        c = x.shape[-1]
        matrix = self.param("in_proj_weight", xavier_of_rows, (3 * c, c), jnp.float32).astype(self.dtype)
        bias = self.param("in_proj_bias", nn.initializers.zeros, (3 * c,), jnp.float32).astype(self.dtype)
        queries, keys = jnp.split((x + positions) @ matrix[: 2 * c].T + bias[: 2 * c], 2, axis=-1)
        values = x @ matrix[2 * c :].T + bias[2 * c :]
        weights = attention_weights(queries[:, :, None], keys[:, :, None])
        weights = dropout(weights, self.dropout, self.train)
        return nn.Dense(c, dtype=self.dtype, kernel_init=xavier, name="out_proj")(
            weighted_values(weights, values[:, :, None])
        )


class Layer(nn.Module):
    """A layer of the encoder, with a LayerNorm after each residual connection: [B, N, C] → [B, N, C].

    Attributes:
      hidden: channels of the hidden layer.
      dropout: dropout rate in training.
      train: whether dropout is active.
      dtype: type of activations and products.
    """

    hidden: int
    dropout: float
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, positions):
        y = SelfAttention(self.dropout, self.train, self.dtype, name="self_attn")(x, positions)
        x = LayerNorm(1e-5, self.dtype, name="norm1")(x + dropout(y, self.dropout, self.train))
        y = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, kernel_init=xavier, name="linear1")(x))
        y = dropout(y, self.dropout, self.train)
        y = nn.Dense(x.shape[-1], dtype=self.dtype, kernel_init=xavier, name="linear2")(y)
        return LayerNorm(1e-5, self.dtype, name="norm2")(x + dropout(y, self.dropout, self.train))


def dropout(x, rate: float, train: bool):
    """Returns x after dropout in training, as a module of the module that calls it."""
    return nn.Dropout(rate, rng_collection="drop_path")(x, deterministic=not train)


class TransPose(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 16.

    The attention compares all pairs of the H/4 · W/4 tokens: 3072² scores a layer for images of 256×192.

    Attributes:
      keypoints: number of keypoints K.
      width, modules, blocks, bottlenecks: sizes of the HRNet, see `hrnet.HRNet`. It has no fourth stage.
      layers, channels, hidden: number of layers of the transformer, their channels and those of their hidden layers.
      dropout: dropout rate in training.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    width: int
    layers: int
    channels: int
    hidden: int
    modules: Sequence[int] = (1, 4)
    blocks: int = 4
    bottlenecks: int = 4
    dropout: float = 0.1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = hrnet.run_trunk(self, images, train)
        x = nn.Conv(self.channels, (1, 1), use_bias=False, dtype=self.dtype, kernel_init=init, name="reduce")(x)
        b, h, w, c = x.shape
        x, positions = x.reshape(b, h * w, c), jnp.asarray(sine_positions(h, w, c), self.dtype)
        for i in range(self.layers):
            layer = Layer(self.hidden, self.dropout, train, self.dtype, name=f"global_encoder.layers.{i}")
            x = layer(x, positions)
        x = x.reshape(b, h, w, c)
        x = nn.Conv(self.keypoints, (1, 1), dtype=self.dtype, kernel_init=init, name=HEAD)(x)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`: those of the HRNet, then the layers."""
    order = multi_resolution.layer_order(params)

    def order_with_layers(path: str) -> tuple[int, ...] | None:
        if path.startswith("reduce/"):
            return 5, 0
        if found := re.match(r"global_encoder\.layers\.(\d+)/", path):
            return 5, int(found[1])
        return order(path)

    return depths_in_order(params, order_with_layers)


def table(model: TransPose) -> Table:
    """Returns the weight table of published weights, which relates their tensors to the variables of the network.

    The files also contain the positions, which do not differ between them.
    """
    entries = named_entries(model, (STRIDE, STRIDE), SHORTCUT, lambda name: name)
    positions = sine_positions(*PUBLISHED_MAP, model.channels)[:, None]
    return [*entries, *batch_counters(entries), Constant("pos_embedding", positions)]


def fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the fields of `TransPose` that follow from the names and shapes of the tensors in a state dict."""
    layers = [re.match(r"global_encoder\.layers\.(\d{1,3})\.", name) for name in tensors]
    return {
        "keypoints": features(tensors, HEAD, missing=0),
        **multi_resolution.trunk_fields(tensors, "", "blocks"),
        "layers": max((int(layer[1]) + 1 for layer in layers if layer), default=1),
        "channels": features(tensors, "reduce", missing=1),
        "hidden": features(tensors, "global_encoder.layers.0.linear1", missing=1),
    }


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the HRNet that is the backbone of TransPose, see `Network.backbone`."""
    return hrnet.backbone({"modules": TransPose.modules, **fields})


NETWORK = Network(
    module=TransPose,
    variants=VARIANTS,
    stride=STRIDE,
    depths=layer_decay_depths,
    backbone=backbone,
    state_dicts=(StateDictForm("TransPose", r"global_encoder\.layers\.", fields, table),),
    head=HEAD,
    keypoints_at=f"params/{HEAD}/bias",
)
