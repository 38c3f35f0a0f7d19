"""AggPose: deep aggregation of Mix Transformer streams (AggPose §3.2, Eq. 4–5, Table 2)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import mit, mit_tables, ops
from aggpose_jax.networks.mit import HEADS, REDUCTIONS, MixFFN, PatchEmbed, Stage
from aggpose_jax.networks.mit_tables import EMBED, FFN
from aggpose_jax.networks.network import Network, Origin, StateDictForm
from aggpose_jax.networks.transformer import drop_path_rates
from aggpose_jax.networks.weight_table import Table, module_entries

STREAMS = range(1, 5)
# name: (channels of the four streams, numbers of blocks of each stream's stages). Stream i has one stage in each column
# from i to 4; the first of them has the depth of stage i of the backbone.
VARIANTS = {
    "l": ((64, 128, 320, 512), ((3, 3, 3, 3), (6, 3, 3), (40, 3), (3,))),
    "s": ((64, 128, 320, 512), ((3, 3, 3, 3), (4, 3, 3), (6, 3), (3,))),
    # Small enough for videos on a CPU, and for a package that contains its weights (8.7 MB in half precision).
    "xs": ((32, 64, 160, 192), ((0, 0, 0, 0), (1, 1, 1), (2, 2), (2,))),
    # The head has as many channels as the finest stream, which therefore needs more channels than there are keypoints.
    "demo": ((32, 64, 80, 128), ((0, 0, 0, 0), (1, 0, 1), (1, 1), (1,))),
    "tiny": ((16, 32, 80, 128), ((1, 1, 1, 1), (1, 1, 1), (1, 1), (1,))),
}

# In the released weights, a merge concatenates the downsampled finer stream before the stream itself, except in
# these merges, given as (column, stream).
OWN_STREAM_FIRST = {(2, 2)}


class AggPose(nn.Module):
    """A pose network: images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W must be multiples of 32.

    Column c applies a stage to each of its c streams. A patch embedding of the coarsest output starts stream c + 1, and
    each of the c outputs is then merged with its neighbouring streams.

    Attributes:
      keypoints: number of keypoints K.
      widths: channels of the four streams, the finest first.
      depths: for each stream i, the number of blocks of its stages in columns i to 4.
      fusion: "released" as in the published weights, or "paper", which additionally has a Mix-FFN before each
        downsampling patch embedding (Eq. 4) and a residual connection around each merge (Eq. 5).
      drop_path: drop-path rate of the last block of the backbone, see `drop_path_rates`. The later stages of a stream
        reuse the first rates of its first stage.
      remat, unroll: see `Stage`.
      dtype: type of activations and matrix products. The heatmaps are at least float32.
    """

    keypoints: int
    widths: Sequence[int]
    depths: Sequence[Sequence[int]]
    fusion: str = "released"
    drop_path: float = 0.1
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False):
        rates = drop_path_rates([d[0] for d in self.depths], self.drop_path)
        streams = [PatchEmbed(self.widths[0], 7, 4, self.dtype, name="embed1")(images.astype(self.dtype))]
        for column in range(1, len(self.widths) + 1):
            streams = [self.stage(i, column, rates[i - 1])(x, train) for i, x in enumerate(streams, start=1)]
            coarser = []
            if column < len(self.widths):
                coarser = [PatchEmbed(self.widths[column], dtype=self.dtype, name=f"embed{column + 1}")(streams[-1])]
            streams = self.fuse(streams, column) + coarser
        heatmaps = self.head(streams)
        return heatmaps.astype(jnp.promote_types(jnp.float32, heatmaps.dtype))

    def stage(self, i: int, column: int, rates: Sequence[float]) -> Stage:
        """Returns the module, a sequence of Mix Transformer blocks, that stream i passes through in a column.

        Args:
          i: number of the stream; 1 is the finest.
          column: number of the column, from i to 4.
          rates: drop-path rates of the first stage of the stream, of which this stage uses the first ones.

        Raises:
          ValueError: the stage has more blocks than there are rates.
        """
        depth = self.depths[i - 1][column - i]
        if depth > len(rates):
            raise ValueError(f"depths: a later stage of stream {i} has {depth} blocks, its first one only {len(rates)}")
        return Stage(
            HEADS[i - 1],
            REDUCTIONS[i - 1],
            rates[:depth],
            self.remat,
            self.unroll,
            self.dtype,
            name=f"stage{i}_{column}",
        )

    def fuse(self, streams: list, column: int) -> list:
        """Returns the streams of a column, each merged with its unmerged finer and coarser neighbours (Eq. 4–5).

        Column 1 has a single stream, which is returned unchanged.
        """
        return [self.merge(streams, i, column) for i in range(1, len(streams) + 1)] if column > 1 else streams

    def merge(self, streams: list, i: int, column: int):
        """Returns stream i merged with its neighbours, at the resolution and width of stream i."""
        own = streams[i - 1]
        width = self.widths[i - 1]
        parts = [own]
        if i > 1:
            finer = streams[i - 2]
            if self.fusion == "paper":
                c = finer.shape[-1]
                finer = MixFFN(c, c, self.dtype, name=f"down_ffn{i}_{column}")(finer)
            down = PatchEmbed(width, dtype=self.dtype, name=f"down{i}_{column}")(finer)
            parts = [own, down] if (column, i) in OWN_STREAM_FIRST else [down, own]
        if i < len(streams):
            coarser = MixFFN(width, width, self.dtype, name=f"up{i}_{column}")(streams[i])
            parts.append(ops.upsample_nearest(coarser, 2))
        merged = MixFFN(width, width, self.dtype, name=f"merge{i}_{column}")(jnp.concatenate(parts, axis=-1))
        return own + merged if self.fusion == "paper" else merged

    def head(self, streams: list):
        """Returns the heatmaps [B, H/4, W/4, K] of all streams, which are upsampled to stride 4 and merged."""
        width = self.widths[0]
        parts = [streams[0]]
        for i, x in enumerate(streams[1:], start=2):
            x = MixFFN(width, width, self.dtype, name=f"head_up{i}")(x)
            parts.append(ops.upsample_nearest(x, 2 ** (i - 1)))
        x = MixFFN(width, width, self.dtype, name="head_merge")(jnp.concatenate(parts, axis=-1))
        return MixFFN(width, self.keypoints, self.dtype, name="head")(x)


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`."""
    return mit.layer_decay_depths(params, r"(?P<kind>stage|embed|down_ffn|down|up|merge)(?:\d_)?(?P<column>\d)/")


def backbone(fields: Mapping[str, Any]) -> tuple:
    """Returns the kind and the sizes of the Mix Transformer that is AggPose's backbone, see `Network.backbone`."""
    return "Mix Transformer", tuple(fields["widths"]), tuple(depths[0] for depths in fields["depths"])


def origin_in_encoder(path: str) -> Origin | None:
    """Returns the parameter of a Mix Transformer from which one of AggPose is initialised; None if there is none.

    The Mix Transformer initialises every column (§4.1). Stage i initialises all stages of stream i, of which the later
    ones take the first blocks. An embedding initialises all embeddings of the same widths, including those of fusions.
    """
    layer = re.fullmatch(r"params/(stage|embed|down)(\d)(?:_(\d))?/(.*)", path)
    if not layer:
        return None
    kind, i, column, rest = layer.groups()
    later = kind == "stage" and column != i and rest.startswith("blocks/")
    return Origin(f"params/encoder/{'stage' if kind == 'stage' else 'embed'}{i}/{rest}", first_blocks=later)


def stage_names(i: int, depths: Sequence[Any]) -> list[str]:
    """Returns the ends of the names of the stages of stream i in the released weights, such as 2, 2_1 and 2_2."""
    return [f"{i}_{later}" if later else f"{i}" for later in range(len(depths))]


def table(model: AggPose) -> Table:
    """Returns the weight table of the released weights, which relates their tensors to the variables of an AggPose.

    It requires the fusion "released".
    """
    entries = []
    for i, stream in enumerate(model.depths, start=1):
        entries += module_entries(f"embed{i}", f"patch_embed{i}", EMBED)
        for column, suffix, depth in zip(range(i, 5), stage_names(i, stream), stream, strict=True):
            entries += mit_tables.stage(f"stage{i}_{column}", f"block{suffix}", f"norm{suffix}", depth, reduced=i < 4)
    for column in range(2, 5):
        merge, down = f"merge_{'1234'[:column]}", "k" * (column - 2)
        for i in range(1, column + 1):
            entries += module_entries(f"merge{i}_{column}", f"{merge}_{i}", FFN)
            if i > 1:
                entries += module_entries(f"down{i}_{column}", f"patch_embed{i - 1}{i}{down}", EMBED)
            if i < column:
                entries += module_entries(f"up{i}_{column}", f"upsample{column - 1}_{i + 1}{i}.mlp", FFN)
    for i in range(2, 5):
        entries += module_entries(f"head_up{i}", f"upsample4_{i}1.mlp", FFN)
    return [*entries, *module_entries("head_merge", "final", FFN), *module_entries("head", "final_layer", FFN)]


def fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the fields of `AggPose` that follow from the names and shapes of the tensors in a state dict."""
    stages = ([f"block{suffix}" for suffix in stage_names(i, range(5 - i))] for i in STREAMS)
    return {
        "keypoints": mit_tables.count_keypoints(tensors),
        "widths": mit_tables.widths(tensors),
        "depths": tuple(mit_tables.count_blocks(names, tensors) for names in stages),
    }


NETWORK = Network(
    module=AggPose,
    variants={name: {"widths": widths, "depths": depths} for name, (widths, depths) in VARIANTS.items()},
    stride=mit.STRIDES[-1],
    depths=layer_decay_depths,
    backbone=backbone,
    state_dicts=(StateDictForm("AggPose", r"merge_|upsample\d_|final\.|block\d_\d", fields, table),),
    head="head",
    keypoints_at="params/head/fc2/bias",
    backbone_origin=origin_in_encoder,
)
