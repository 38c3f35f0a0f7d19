"""TokenPose-L: learned keypoint tokens beside the patches of an HRNet's map in a transformer (Li et al. 2021)."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import hrnet, multi_resolution
from aggpose_jax.networks.batch_norm import batch_counters
from aggpose_jax.networks.layers import LayerNorm
from aggpose_jax.networks.network import Network, StateDictForm, depths_in_order
from aggpose_jax.networks.positions import sine_positions
from aggpose_jax.networks.residual import SHORTCUT
from aggpose_jax.networks.transformer import attention_weights, weighted_values
from aggpose_jax.networks.weight_table import Constant, Entry, Layout, Table, features, named_entries

STRIDE = 4  # of the map of the HRNet and of the heatmaps
GROUPS = 3
HEAD_CHANNELS = 16  # of each attention head
TOKENS = "keypoint_token"
# [1, K, C] ↔ [K, C]
TOKEN_LAYOUT = Layout(lambda a: a[0], lambda a: a[None])
VARIANTS: dict[str, dict[str, Any]] = {
    "l_d24": {"width": 48},
    "tiny": {
        "width": 8, "modules": (1, 1), "blocks": 1, "bottlenecks": 1, "layers": 2, "channels": 48,
        "map_size": (32, 24),
    },
}  # fmt: skip
linear_init = nn.initializers.truncated_normal(0.02)


def linear(features: int, use_bias: bool, dtype: Any, name: str) -> nn.Dense:
    """Returns a linear layer with the initialisation of TokenPose."""
    return nn.Dense(features, use_bias=use_bias, dtype=dtype, kernel_init=linear_init, name=name)


class Layer(nn.Module):
    """A transformer layer with a LayerNorm before attention and hidden layer: [B, N, C] → [B, N, C].

    Attributes:
      heads: number of attention heads.
      hidden: channels of the hidden layer.
      dtype: type of activations and products.
    """

    heads: int
    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        b, n, c = x.shape
        y = LayerNorm(1e-5, self.dtype, name="0.fn.norm")(x)
        y = linear(3 * c, False, self.dtype, "0.fn.fn.to_qkv")(y).reshape(b, n, 3, self.heads, -1)
        y = weighted_values(attention_weights(y[:, :, 0], y[:, :, 1]), y[:, :, 2])
        x = x + linear(c, True, self.dtype, "0.fn.fn.to_out.0")(y)
        y = LayerNorm(1e-5, self.dtype, name="1.fn.norm")(x)
        y = nn.gelu(linear(self.hidden, True, self.dtype, "1.fn.fn.net.0")(y), approximate=False)
        return x + linear(c, True, self.dtype, "1.fn.fn.net.3")(y)


class TokenPose(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K], only for one height and width.

    Attributes:
      keypoints: number of keypoints K.
      width, modules, blocks, bottlenecks: sizes of the HRNet, see `hrnet.HRNet`. It has no fourth stage.
      layers: number of layers of each of the three groups.
      channels: of the tokens, HEAD_CHANNELS for each attention head. The hidden layers have three times as many.
      patch: (rows, columns) of a patch of the map.
      map_size: (H/4, W/4), height and width of the map and of the heatmaps. Its patches and its last layer fix it.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    width: int
    modules: Sequence[int] = (1, 4)
    blocks: int = 4
    bottlenecks: int = 4
    layers: int = 8
    channels: int = 192
    patch: Sequence[int] = (4, 3)
    map_size: Sequence[int] = (64, 48)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        x, c = self.patches(hrnet.run_trunk(self, images, train)), self.channels
        x = linear(c, True, self.dtype, "patch_to_embedding")(x)
        tokens = self.param(TOKENS, linear_init, (self.keypoints, c), jnp.float32).astype(self.dtype)
        tokens = jnp.broadcast_to(tokens, (x.shape[0], self.keypoints, c))
        positions = jnp.asarray(sine_positions(*self.grid, c), self.dtype)
        # The keypoint tokens have no positions.
        positions = jnp.concatenate([jnp.zeros((self.keypoints, c), self.dtype), positions])
        x = jnp.concatenate([tokens, x], axis=1) + positions
        found = []
        for group in range(1, GROUPS + 1):
            for i in range(self.layers):
                x = x + positions if i else x
                x = Layer(c // HEAD_CHANNELS, 3 * c, self.dtype, name=f"transformer{group}.layers.{i}")(x)
            found.append(x[:, : self.keypoints])
        x = LayerNorm(1e-5, self.dtype, name="mlp_head.0")(jnp.concatenate(found, axis=-1))
        x = linear(math.prod(self.map_size), True, self.dtype, "mlp_head.1")(x)
        x = x.reshape(-1, self.keypoints, *self.map_size).transpose(0, 2, 3, 1)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))

    @property
    def grid(self) -> tuple[int, int]:
        """The numbers of rows and columns of patches."""
        return self.map_size[0] // self.patch[0], self.map_size[1] // self.patch[1]

    def patches(self, x):
        """Returns the patches of a map [B, H, W, C] as vectors [B, N, rows · columns · C]."""
        b, _, _, c = x.shape
        (rows, columns), (height, width) = self.grid, self.patch
        x = x.reshape(b, rows, height, columns, width, c).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(b, rows * columns, height * width * c)


def input_size(model: TokenPose) -> tuple[int, int]:
    """Returns the only height and width in pixels of the images that a TokenPose accepts."""
    return STRIDE * model.map_size[0], STRIDE * model.map_size[1]


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`: those of the HRNet, then the layers.

    The keypoint tokens belong to the head, because a network for other keypoints has new ones.
    """
    order = multi_resolution.layer_order(params)

    def order_with_layers(path: str) -> tuple[int, ...] | None:
        if path.startswith("patch_to_embedding/"):
            return 5, 0
        if found := re.match(r"transformer(\d)\.layers\.(\d+)/", path):
            return 4 + int(found[1]), int(found[2])
        return order(path)

    return depths_in_order(params, order_with_layers)


def table(model: TokenPose) -> Table:
    """Returns the weight table of the authors' names, which relates tensors to the variables of the network."""

    def name(variable: str) -> str:
        of_transformer = re.match(r"patch_to_embedding|keypoint_token|transformer\d|mlp_head", variable)
        return f"{'transformer' if of_transformer else 'pre_feature'}.{variable}"

    named = named_entries(model, input_size(model), SHORTCUT, name)
    entries = [Entry(e.path, e.names, TOKEN_LAYOUT) if e.path[-1] == TOKENS else e for e in named]
    positions = sine_positions(*model.grid, model.channels)[None]
    return [*entries, *batch_counters(entries), Constant("transformer.pos_embedding", positions)]


def fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the fields of `TokenPose` that follow from the names and shapes of the tensors in a state dict.

    The patches do not follow from them; they are those of TokenPose-L. Of the size of the map only the area follows; it
    is as 4 to 3.
    """
    layers = [re.match(r"transformer\.transformer1\.layers\.(\d{1,3})\.", name) for name in tensors]
    pixels = features(tensors, "transformer.mlp_head.1", missing=12)
    height = round((pixels * 4 / 3) ** 0.5)
    tokens = tensors.get("transformer.keypoint_token", np.zeros((1, 0, 1)))
    return {
        "keypoints": tokens.shape[1] if tokens.ndim == 3 else 0,
        **multi_resolution.trunk_fields(tensors, "pre_feature.", "blocks"),
        "layers": max((int(layer[1]) + 1 for layer in layers if layer), default=1),
        "channels": features(tensors, "transformer.patch_to_embedding", missing=1),
        "map_size": (height, pixels // height),
    }


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the HRNet that is the backbone of TokenPose, see `Network.backbone`."""
    return hrnet.backbone({"modules": TokenPose.modules, **fields})


NETWORK = Network(
    module=TokenPose,
    variants=VARIANTS,
    stride=16,
    depths=layer_decay_depths,
    backbone=backbone,
    state_dicts=(StateDictForm("TokenPose", r"transformer\.transformer1\.", fields, table),),
    head=TOKENS,
    keypoints_at=f"params/{TOKENS}",
    input_size=input_size,
)
