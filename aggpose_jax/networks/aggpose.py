"""AggPose: deep aggregation of Mix Transformer streams (AggPose §3.2, Eq. 4–5, Table 2)."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax.networks import ops
from aggpose_jax.networks.mit import HEADS, REDUCTIONS, MixFFN, PatchEmbed, Stage, drop_path_rates

# name: (widths, depths of each stream from its own column on). The first depth of each stream is the backbone's.
VARIANTS = {
    "l": ((64, 128, 320, 512), ((3, 3, 3, 3), (6, 3, 3), (40, 3), (3,))),
    "s": ((64, 128, 320, 512), ((3, 3, 3, 3), (4, 3, 3), (6, 3), (3,))),
    # The head has as many channels as the finest stream, so that stream needs more than there are keypoints.
    "demo": ((32, 64, 80, 128), ((0, 0, 0, 0), (1, 0, 1), (1, 1), (1,))),
    "tiny": ((16, 32, 80, 128), ((1, 1, 1, 1), (1, 1, 1), (1, 1), (1,))),
}

# The released weights concatenate the finer stream first in a merge, but for (column, stream) 2, 2.
OWN_STREAM_FIRST = {(2, 2)}


class AggPose(nn.Module):
    """Images [B, H, W, 3] → heatmaps [B, H/4, W/4, K]. H and W divide by 32.

    Column c runs a stage on each of its c streams, opens stream c + 1 from the coarsest, then fuses neighbours.

    Attributes:
      keypoints: K.
      widths: channels of the four streams.
      depths: blocks of each stream's stages, from the stream's own column on.
      fusion: "released" as in the published weights, or "paper", which has in addition a Mix-FFN before each
        downsampling embedding (Eq. 4) and a residual around each merge (Eq. 5).
      drop_path: rate of the backbone's last block; later stages of a stream reuse its first rates.
      remat, unroll: see `Stage`.
      dtype: of activations and matrix products.
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
        return self.head(streams).astype(jnp.float32)

    def stage(self, i: int, column: int, rates: Sequence[float]) -> Stage:
        """The stage of stream i (1 is the finest) in a column."""
        depth = self.depths[i - 1][column - i]
        if depth > len(rates):
            raise ValueError(f"stream {i}: a later stage of {depth} blocks has no drop-path rates beyond {len(rates)}")
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
        """Merges each stream with its finer and its coarser neighbour, all as they were before (Eq. 4–5)."""
        return [self.merge(streams, i, column) for i in range(1, len(streams) + 1)] if column > 1 else streams

    def merge(self, streams: list, i: int, column: int):
        """Stream i after the fusion of a column."""
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
        """All streams at stride 4, merged, to heatmaps [B, H/4, W/4, K]."""
        width = self.widths[0]
        parts = [streams[0]]
        for i, x in enumerate(streams[1:], start=2):
            x = MixFFN(width, width, self.dtype, name=f"head_up{i}")(x)
            parts.append(ops.upsample_nearest(x, 2 ** (i - 1)))
        x = MixFFN(width, width, self.dtype, name="head_merge")(jnp.concatenate(parts, axis=-1))
        return MixFFN(width, self.keypoints, self.dtype, name="head")(x)
