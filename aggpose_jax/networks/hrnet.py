"""HRNet: residual blocks on parallel branches of several resolutions (Sun et al. 2019)."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import multi_resolution, ops
from aggpose_jax.networks.batch_norm import batch_counters
from aggpose_jax.networks.multi_resolution import ConvBatchNorm, init
from aggpose_jax.networks.network import Network, StateDictForm
from aggpose_jax.networks.residual import SHORTCUT, BasicBlock
from aggpose_jax.networks.weight_table import CONVOLUTION, Row, Table, features, module_entries, named_entries

STRIDE = 32
HEAD = "final_layer"
FIRST_BLOCK = r"stage4\.0\.branches\.0\.0\.conv1"  # regular expression for tensors that other networks do not have
VARIANTS: dict[str, dict[str, Any]] = {
    "w32": {"width": 32},
    "w48": {"width": 48},
    "tiny": {"width": 8, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1},
}


class Module(multi_resolution.Module):
    """A module whose blocks are basic residual blocks. Further attributes are those of `multi_resolution.Module`.

    Attributes:
      blocks: number of blocks of each branch.
    """

    blocks: int = 4

    def run_blocks(self, x, branch: int):
        """Returns the map of a branch after its residual blocks."""
        for i in range(self.blocks):
            name = f"branches.{branch}.{i}"
            x = BasicBlock(self.widths[branch], self.train, init=init, dtype=self.dtype, name=name)(x)
        return x

    def halve(self, x, features: int, is_last: bool, name: str):
        """Returns a map after a 3×3 convolution of stride 2, with a ReLU unless it is the last one."""
        x = ConvBatchNorm(features, 3, 2, self.train, self.dtype, name=name)(x)
        return x if is_last else nn.relu(x)

    def enlarge(self, x, factor: int):
        """Returns a map with each pixel repeated."""
        return ops.upsample_nearest(x, factor)


class HRNet(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 32.

    Attributes:
      keypoints: number of keypoints K.
      width: channels of the finest branch; each coarser one has twice as many.
      modules: number of modules of stages 2, 3 and 4, which have 2, 3 and 4 branches.
      blocks: number of residual blocks of each branch in a module.
      bottlenecks: number of bottlenecks after the stem.
      dtype: type of activations and products. Batch statistics and heatmaps are at least float32.
    """

    keypoints: int
    width: int
    modules: Sequence[int] = (1, 4, 3)
    blocks: int = 4
    bottlenecks: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        x = run_trunk(self, images, train)
        x = nn.Conv(self.keypoints, (1, 1), dtype=self.dtype, kernel_init=init, name=HEAD)(x)
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))


def run_trunk(model, images, train: bool):
    """Runs all of an HRNet but its head inside of `model`, which has the fields of `HRNet`; returns its finest branch.

    Without stage 4, as in TransPose and TokenPose, the last module of stage 3 makes the finest branch only.
    """
    widths = [model.width * 2**i for i in range(len(model.modules) + 1)]
    make_module = functools.partial(Module, train=train, dtype=model.dtype, blocks=model.blocks)
    return multi_resolution.run_trunk(images, train, widths, model.modules, model.bottlenecks, make_module, model.dtype)


def encoder_table(model: nn.Module, encoder: str = "") -> Table:
    """Returns the weight table of a network without its head, whose names start with the prefix `encoder`."""
    named = named_entries(model, (STRIDE, STRIDE), SHORTCUT, lambda name: encoder + name)
    entries = [entry for entry in named if entry.path[1] != HEAD]
    return [*entries, *batch_counters(entries)]


def table(model: nn.Module, encoder: str = "", head: str = "") -> Table:
    """Returns the weight table of published weights, which relates their tensors to the variables of the network.

    Args:
      model: the network.
      encoder: prefix of the names of all but the head.
      head: prefix of the names of the head.
    """
    last = [Row("kernel", "weight", CONVOLUTION), Row("bias", "bias")]
    return [*encoder_table(model, encoder), *module_entries(HEAD, f"{head}{HEAD}", last)]


def fields(tensors: Mapping[str, np.ndarray], encoder: str = "", head: str = "") -> dict[str, Any]:
    """Returns the fields of `HRNet` that follow from the names and shapes of the tensors in a state dict.

    The number of keypoints is 0 for an encoder without the pose head. The arguments `encoder` and `head` are the
    prefixes of names, as in `table`.
    """
    keypoints = features(tensors, f"{head}{HEAD}", missing=0)
    return {"keypoints": keypoints, **multi_resolution.trunk_fields(tensors, encoder, "blocks")}


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the encoder of a network, see `Network.backbone`."""
    sizes = {"modules": HRNet.modules, "blocks": HRNet.blocks, **fields}
    return "HRNet", sizes["width"], tuple(sizes["modules"]), sizes["blocks"]


def form_of_mmpose(name: str, head: str) -> StateDictForm[HRNet]:
    """Returns a form of mmpose's weights: names start with "backbone." and, in the head, with the prefix `head`."""
    read = functools.partial(fields, encoder="backbone.", head=head)
    return StateDictForm(
        name,
        rf"backbone\.{FIRST_BLOCK}",
        read,
        functools.partial(table, encoder="backbone.", head=head),
        also=re.escape(f"{head}{HEAD}.weight"),
    )


NETWORK = Network(
    module=HRNet,
    variants=VARIANTS,
    stride=STRIDE,
    depths=multi_resolution.layer_decay_depths,
    backbone=backbone,
    state_dicts=(
        StateDictForm("HRNet", FIRST_BLOCK, fields, table, also=rf"{HEAD}\.weight"),
        form_of_mmpose("HRNet of mmpose", "head."),
        form_of_mmpose("HRNet of mmpose 0", "keypoint_head."),
        # The classifiers of ImageNet have another last layer, and their last module makes all branches.
        StateDictForm(
            "HRNet of ImageNet",
            FIRST_BLOCK,
            fields,
            encoder_table,
            unused=r"(incre_modules|downsamp_modules|classifier|final_layer)\..*|stage4\.2\.fuse_layers\.[123]\..*",
        ),
    ),
    head=HEAD,
    keypoints_at=f"params/{HEAD}/bias",
)
