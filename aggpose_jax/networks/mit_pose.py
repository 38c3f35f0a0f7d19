"""The plain pose model on a Mix Transformer (AggPose Table 5, "SegFormer-B5")."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import mit, mit_tables, ops
from aggpose_jax.networks.mit_huggingface import original_tensors
from aggpose_jax.networks.mit_tables import FFN
from aggpose_jax.networks.network import Network, StateDictForm
from aggpose_jax.networks.weight_table import Table, module_entries

ENCODER = r"encoder/(?P<kind>stage|embed)(?P<column>\d)/"
STAGES = [f"block{i}" for i in range(1, 5)]


class MitPose(nn.Module):
    """A plain pose model (AggPose Table 5, "SegFormer-B5"): images [B, H, W, 3] → heatmaps [B, H/4, W/4, K].

    A Mix-FFN maps each of the four feature maps to `fused` channels, they are upsampled to stride 4, and a last Mix-FFN
    computes the heatmaps from all of them. H and W must be multiples of 32.

    Attributes:
      keypoints: number of keypoints K.
      widths, depths: channels and numbers of blocks of the four stages of the Mix Transformer.
      fused: channels of each feature map before the last Mix-FFN.
      drop_path, remat, unroll, dtype: see `mit.MixTransformer`.
    """

    keypoints: int
    widths: Sequence[int]
    depths: Sequence[int]
    fused: int = 64
    drop_path: float = 0.1
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        encoder = mit.MixTransformer(
            self.widths, self.depths, self.drop_path, self.remat, self.unroll, self.dtype, name="encoder"
        )
        fused = [
            ops.upsample_nearest(mit.MixFFN(self.fused, self.fused, self.dtype, name=f"fuse{i + 1}")(x), 2**i)
            for i, x in enumerate(encoder(images.astype(self.dtype), train))
        ]
        x = mit.MixFFN(self.fused, self.keypoints, self.dtype, name="head")(jnp.concatenate(fused, axis=-1))
        return x.astype(jnp.promote_types(jnp.float32, x.dtype))


def depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`."""
    return mit.layer_decay_depths(params, ENCODER)


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the Mix Transformer in a network, see `Network.backbone`."""
    return "Mix Transformer", tuple(fields["widths"]), tuple(fields["depths"])


def table(model: MitPose) -> Table:
    """Returns the weight table of the published weights, which relates their tensors to variables of a `MitPose`."""
    entries = mit_tables.encoder("encoder", model.depths)
    for i in range(1, 5):
        entries += module_entries(f"fuse{i}", f"to_fused.{i - 1}.mlp", FFN)
    return [*entries, *module_entries("head", "final_layer", FFN)]


def fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the fields of `MitPose` that follow from the names and shapes of the tensors in a state dict."""
    return {
        "keypoints": mit_tables.count_keypoints(tensors),
        "widths": mit_tables.widths(tensors),
        "depths": mit_tables.count_blocks(STAGES, tensors),
    }


NETWORK = Network(
    module=MitPose,
    variants={name: {"widths": widths, "depths": blocks} for name, (widths, blocks) in mit.VARIANTS.items()},
    stride=mit.STRIDES[-1],
    depths=depths,
    backbone=backbone,
    state_dicts=(
        StateDictForm("plain pose model", r"to_fused\.", fields, table, unused=r"recover\..*"),
        StateDictForm(
            "Mix Transformer",  # the encoder alone, from published classifiers or Hugging Face's Segformer
            r"(patch_embed|block)\d\.",
            fields,
            lambda model: mit_tables.encoder("encoder", model.depths),
            unused=r"(decode_|auxiliary_)?head\..*",
            rename=original_tensors,
        ),
    ),
    head="head",
    keypoints_at="params/head/fc2/bias",
)
