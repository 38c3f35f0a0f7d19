"""SimpleBaseline: a ResNet and three transposed convolutions (Xiao et al. 2018; He et al. 2016)."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import ops
from aggpose_jax.networks.batch_norm import BATCH_NORM, BatchNorm, batch_counters
from aggpose_jax.networks.deconvolution_head import KERNEL, head_entries, run_head
from aggpose_jax.networks.network import Network, StateDictForm
from aggpose_jax.networks.residual import Bottleneck, convolution
from aggpose_jax.networks.weight_table import (
    Entry,
    Table,
    features,
    module_entries,
    prefix_rows,
    stacked_entries,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "50": {"depths": (3, 4, 6, 3)},
    "101": {"depths": (3, 4, 23, 3)},
    "152": {"depths": (3, 8, 36, 3)},
    "tiny": {"depths": (2, 1, 3, 1), "width": 8, "head_width": 32},
}

# ImageNet weights usually replace the encoder's. Without them, it starts from the initialisation of their training.
encoder_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Layer(nn.Module):
    """A sequence of bottlenecks of equal width: [B, H, W, C] → [B, H / stride, W / stride, 4 · planes].

    Attributes:
      planes: channels of the 3×3 convolutions.
      depth: number of bottlenecks.
      stride: stride of the first bottleneck; the following ones, stacked as "blocks", have stride 1.
      remat, unroll: see `SimpleBaseline`.
    """

    planes: int
    depth: int
    stride: int
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool):
        block = nn.remat(Bottleneck, prevent_cse=False) if self.remat else Bottleneck
        x = block(self.planes, train, self.stride, True, encoder_init, self.dtype, name="first")(x)
        following = self.depth - 1
        if not following:
            return x
        unroll = self.unroll or default_unroll(following, train)
        loop = nn.scan(
            lambda block, x, _: (block(x), None),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True},
            length=following,
            unroll=1 if self.is_initializing() else min(unroll, following),
        )
        return loop(block(self.planes, train, init=encoder_init, dtype=self.dtype, name="blocks"), x, None)[0]


def default_unroll(depth: int, train: bool) -> int:
    """Returns how many blocks of a layer one iteration of their compiled loop should contain on this platform.

    In training on CPU these are all `depth` blocks: gradients of convolutions in a loop took several times as long
    (ResNet-50, four images of 128×96). Otherwise it is 1, which compiles ResNet-152 many times faster and is no slower.
    """
    return depth if train and jax.default_backend() == "cpu" else 1


class SimpleBaseline(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 32.

    Attributes:
      keypoints: number of keypoints K.
      depths: numbers of bottlenecks of the four layers.
      width: channels of the stem. The 3×3 convolutions of the four layers have 1, 2, 4 and 8 times as many.
      head_width: channels of the transposed convolutions.
      remat: recompute the activations of each bottleneck in the backward pass instead of storing them.
      unroll: bottlenecks per iteration of a layer's compiled loop; 0 is the default of the platform, see
        `default_unroll`.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    depths: Sequence[int]
    width: int = 64
    head_width: int = 256
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = convolution(self.width, 7, 2, encoder_init, self.dtype, "conv1")(images.astype(self.dtype))
        x = nn.relu(BatchNorm(name="bn1")(x, not train))
        x = ops.halve_by_maximum(x)
        for i, depth in enumerate(self.depths):
            planes, stride = self.width * 2**i, 2 if i else 1
            x = Layer(planes, depth, stride, self.remat, self.unroll, self.dtype, name=f"layer{i + 1}")(x, train)
        x = run_head(x, train, self.keypoints, self.head_width, self.dtype)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`.

    Every bottleneck is a layer, and the stem is the deepest one.
    """
    following = {
        path[: len("layer1")]: leaf.shape[0] for path, leaf in params.items() if path.endswith("/blocks/bn1/scale")
    }
    layers = sorted({path.split("/")[0] for path in params if path.startswith("layer")})
    bottlenecks = {layer: 1 + following.get(layer, 0) for layer in layers}
    total = sum(bottlenecks.values())

    def depth_of(path: str, leaf: Any) -> np.ndarray:
        module, *rest = path.split("/")
        if module not in bottlenecks:
            return np.asarray(total + 1 if module in ("conv1", "bn1") else 0)
        first = total - sum(bottlenecks[layer] for layer in layers if layer < module)
        if rest[0] == "first":
            return np.asarray(first)
        return first - np.arange(1, leaf.shape[0] + 1).reshape(-1, *(1,) * (len(leaf.shape) - 1))

    return {path: depth_of(path, leaf) for path, leaf in params.items()}


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the ResNet that is the backbone of SimpleBaseline, see `Network.backbone`."""
    return "ResNet", fields.get("width", SimpleBaseline.width), tuple(fields["depths"])


BOTTLENECK = [
    row
    for i in (1, 2, 3)
    for row in (*prefix_rows(f"conv{i}", f"conv{i}", KERNEL), *prefix_rows(f"bn{i}", f"bn{i}", BATCH_NORM))
]
SHORTCUT = [
    *prefix_rows("shortcut_conv", "downsample.0", KERNEL),
    *prefix_rows("shortcut_bn", "downsample.1", BATCH_NORM),
]


def encoder_entries(model: SimpleBaseline, prefix: str = "") -> list[Entry]:
    """Returns the weight table entries of the ResNet; its tensors have torchvision's names after a prefix."""
    entries = [*module_entries("conv1", f"{prefix}conv1", KERNEL), *module_entries("bn1", f"{prefix}bn1", BATCH_NORM)]
    for i, depth in enumerate(model.depths, start=1):
        names = [f"{prefix}layer{i}.{j}" for j in range(depth)]
        entries += module_entries(f"layer{i}/first", names[0], [*BOTTLENECK, *SHORTCUT])
        entries += stacked_entries(f"layer{i}/blocks", names[1:], BOTTLENECK)
    return entries


def encoder_table(model: SimpleBaseline) -> Table:
    """Returns the weight table of a ResNet without the pose head, in torchvision's names."""
    entries = encoder_entries(model)
    return [*entries, *batch_counters(entries)]


def table(model: SimpleBaseline, encoder: str = "", head: str = "") -> Table:
    """Returns the weight table of published weights, which relates their tensors to the variables of the network.

    Args:
      model: the network.
      encoder: prefix of the names of the ResNet.
      head: prefix of the names of the transposed convolutions and the last layer.
    """
    entries = encoder_entries(model, encoder) + head_entries(head)
    return [*entries, *batch_counters(entries)]


def fields(tensors: Mapping[str, np.ndarray], encoder: str = "", head: str = "") -> dict[str, Any]:
    """Returns the fields of `SimpleBaseline` that follow from the names and shapes of the tensors in a state dict.

    The number of keypoints is 0 for a ResNet without the pose head. The arguments `encoder` and `head` are the prefixes
    of names, as in `table`.
    """
    blocks = [re.match(rf"{re.escape(encoder)}layer(\d)\.(\d{{1,4}})\.", name) for name in tensors]
    numbers = [(int(block[1]), int(block[2])) for block in blocks if block]
    return {
        "keypoints": features(tensors, f"{head}final_layer", missing=0),
        "depths": tuple(max((j + 1 for layer, j in numbers if layer == i), default=1) for i in range(1, 5)),
        "width": features(tensors, f"{encoder}bn1", missing=SimpleBaseline.width),
        "head_width": features(tensors, f"{head}deconv_layers.1", missing=SimpleBaseline.head_width),
    }


def form_of_mmpose(name: str, head: str) -> StateDictForm[SimpleBaseline]:
    """Returns a form of mmpose's weights: names start with "backbone." and, in the head, with the prefix `head`."""
    return StateDictForm(
        name,
        r"backbone\.layer4\.",
        functools.partial(fields, encoder="backbone.", head=head),
        functools.partial(table, encoder="backbone.", head=head),
        also=re.escape(f"{head}deconv_layers."),
    )


NETWORK = Network(
    module=SimpleBaseline,
    variants=VARIANTS,
    stride=32,
    depths=layer_decay_depths,
    backbone=backbone,
    state_dicts=(
        StateDictForm("SimpleBaseline", r"deconv_layers\.", fields, table),
        form_of_mmpose("SimpleBaseline of mmpose", "head."),
        form_of_mmpose("SimpleBaseline of mmpose 0", "keypoint_head."),
        StateDictForm("ResNet", r"layer4\.", fields, encoder_table, unused=r"fc\..*"),
    ),
    head="head",
    keypoints_at="params/head/bias",
)
