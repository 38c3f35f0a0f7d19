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
    """The plain pose model (AggPose Table 5, "SegFormer-B5"): images [B, H, W, 3] → heatmaps [B, H/4, W/4, K].

    Each feature map goes through a Mix-FFN to the width `fused` and is enlarged to stride 4; a last Mix-FFN
    reads all four. H and W divide by 32.
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
    """Layers from the head, see `Network.depths`."""
    return mit.layer_decay_depths(params, ENCODER)


def backbone(fields: Mapping[str, Any]) -> tuple:
    """The sizes of the Mix Transformer."""
    return "Mix Transformer", tuple(fields["widths"]), tuple(fields["depths"])


def table(model: MitPose) -> Table:
    """Names in the published weights of the baseline."""
    entries = mit_tables.encoder("encoder", model.depths)
    for i in range(1, 5):
        entries += module_entries(f"fuse{i}", f"to_fused.{i - 1}.mlp", FFN)
    return [*entries, *module_entries("head", "final_layer", FFN)]


def fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The sizes that a state dict shows."""
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
            "Mix Transformer",  # alone, as published classifiers and Hugging Face's Segformer have it
            r"(patch_embed|block|norm)\d\.",
            fields,
            lambda model: mit_tables.encoder("encoder", model.depths),
            unused=r"head\..*",
            rename=original_tensors,
        ),
    ),
    head="head",
    keypoints_at="params/head/fc2/bias",
)
