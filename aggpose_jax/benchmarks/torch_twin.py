"""AggPose written with PyTorch's own modules, to compare speeds with. It has the tensor names of the released weights.

PyTorch is an extra: this module can be imported only where it is installed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from aggpose_jax.networks.aggpose import OWN_STREAM_FIRST, AggPose, stage_names
from aggpose_jax.networks.mit import BLOCK_EPSILON, EMBED_EPSILON, EXPANSION, HEADS, REDUCTIONS


def build(model: AggPose, tensors: Mapping[str, np.ndarray]) -> "AggPoseTwin":
    """Returns an AggPose with the released fusion and these weights as a PyTorch module, in evaluation mode."""
    twin = AggPoseTwin(model.widths, model.depths, model.keypoints)
    twin.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()})
    return twin.eval()


def tokens(x):
    """Returns a map [B, C, H, W] as tokens [B, H · W, C]."""
    return x.flatten(2).transpose(1, 2)


def to_map(x, height, width):
    """Returns tokens [B, H · W, C] as a map [B, C, H, W]."""
    return x.transpose(1, 2).reshape(x.shape[0], -1, height, width)


class PatchEmbed(nn.Module):
    """An overlapped patch embedding (AggPose §3.2): map → map at 1 / stride of its resolution."""

    def __init__(self, inputs: int, width: int, kernel: int = 3, stride: int = 2):
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(width, eps=EMBED_EPSILON)

    def forward(self, x):
        x = self.proj(x)
        return to_map(self.norm(tokens(x)), *x.shape[2:])


class DepthwiseConvolution(nn.Module):
    """A 3×3 depthwise convolution of tokens, in a module of its own because the released names have its level."""

    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, 1, 1, groups=width)

    def forward(self, x, height, width):
        return tokens(self.dwconv(to_map(x, height, width)))


class MixFFN(nn.Module):
    """A linear layer, 3×3 depthwise convolution, GELU and linear layer (AggPose Eq. 3): tokens → tokens."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.dwconv = DepthwiseConvolution(hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x, height, width):
        return self.fc2(functional.gelu(self.dwconv(self.fc1(x), height, width)))


def on_map(ffn, x):
    """Returns a Mix-FFN of a map as a map of the same resolution."""
    height, width = x.shape[2:]
    return to_map(ffn(tokens(x), height, width), height, width)


class Upsample(nn.Module):
    """A Mix-FFN and nearest-neighbour enlargement: map → map at `factor` times its resolution."""

    def __init__(self, inputs: int, width: int, factor: int):
        super().__init__()
        self.mlp, self.factor = MixFFN(inputs, width, width), factor

    def forward(self, x):
        return functional.interpolate(on_map(self.mlp, x), scale_factor=self.factor, mode="nearest")


class Attention(nn.Module):
    """Multi-head attention with a sequence that is reduced by a convolution (AggPose Eq. 1–2): tokens → tokens."""

    def __init__(self, width: int, heads: int, reduction: int):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width, eps=EMBED_EPSILON)

    def forward(self, x, height, width):
        count, length, channels = x.shape
        reduced = x
        if self.reduction > 1:
            reduced = self.norm(tokens(self.sr(to_map(x, height, width))))
        q = self.q(x).reshape(count, length, self.heads, -1).transpose(1, 2)
        k, v = self.kv(reduced).reshape(count, -1, 2, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(count, length, channels))


class Block(nn.Module):
    """Attention and a Mix-FFN, each with a LayerNorm before it and a residual connection, without drop path."""

    def __init__(self, width: int, heads: int, reduction: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=BLOCK_EPSILON) for _ in range(2))
        self.attn = Attention(width, heads, reduction)
        self.mlp = MixFFN(width, EXPANSION * width, width)

    def forward(self, x, height, width):
        x = x + self.attn(self.norm1(x), height, width)
        return x + self.mlp(self.norm2(x), height, width)


class AggPoseTwin(nn.Module):
    """An AggPose with the released fusion (AggPose §3.2): images [B, 3, H, W] → heatmaps [B, K, H/4, W/4]."""

    def __init__(self, widths: Sequence[int], depths: Sequence[Sequence[int]], keypoints: int):
        super().__init__()
        self.stage_names = [stage_names(i, stream) for i, stream in enumerate(depths, start=1)]
        for i, (width, stream) in enumerate(zip(widths, depths, strict=True), start=1):
            embed = PatchEmbed(3, width, 7, 4) if i == 1 else PatchEmbed(widths[i - 2], width)
            self.add_module(f"patch_embed{i}", embed)
            for name, depth in zip(self.stage_names[i - 1], stream, strict=True):
                blocks = [Block(width, HEADS[i - 1], REDUCTIONS[i - 1]) for _ in range(depth)]
                self.add_module(f"block{name}", nn.ModuleList(blocks))
                self.add_module(f"norm{name}", nn.LayerNorm(width, eps=BLOCK_EPSILON))
        for column in range(2, 5):
            for i in range(1, column + 1):
                neighbours = widths[i - 1] * (1 + (i > 1) + (i < column))
                self.add_module(f"merge_{'1234'[:column]}_{i}", MixFFN(neighbours, widths[i - 1], widths[i - 1]))
                if i > 1:
                    self.add_module(
                        f"patch_embed{i - 1}{i}{'k' * (column - 2)}", PatchEmbed(widths[i - 2], widths[i - 1])
                    )
                if i < column:
                    self.add_module(f"upsample{column - 1}_{i + 1}{i}", Upsample(widths[i], widths[i - 1], 2))
        for i in range(2, 5):
            self.add_module(f"upsample4_{i}1", Upsample(widths[i - 1], widths[0], 2 ** (i - 1)))
        self.final = MixFFN(4 * widths[0], widths[0], widths[0])
        self.final_layer = MixFFN(widths[0], widths[0], keypoints)

    def part(self, name: str) -> Any:
        """Returns a submodule by its name."""
        return getattr(self, name)

    def stage(self, x, i: int, column: int):
        """Returns the map of stream i after its stage in a column."""
        name = self.stage_names[i - 1][column - i]
        height, width = x.shape[2:]
        x = tokens(x)
        for block in self.part(f"block{name}"):
            x = block(x, height, width)
        return to_map(self.part(f"norm{name}")(x), height, width)

    def merge(self, streams, i: int, column: int):
        """Returns stream i merged with its neighbours (AggPose Eq. 4–5)."""
        parts = [streams[i - 1]]
        if i > 1:
            down = self.part(f"patch_embed{i - 1}{i}{'k' * (column - 2)}")(streams[i - 2])
            parts = [parts[0], down] if (column, i) in OWN_STREAM_FIRST else [down, parts[0]]
        if i < column:
            parts.append(self.part(f"upsample{column - 1}_{i + 1}{i}")(streams[i]))
        return on_map(self.part(f"merge_{'1234'[:column]}_{i}"), torch.cat(parts, 1))

    def forward(self, images):
        streams = [self.part("patch_embed1")(images)]
        for column in range(1, 5):
            streams = [self.stage(x, i, column) for i, x in enumerate(streams, start=1)]
            coarser = [self.part(f"patch_embed{column + 1}")(streams[-1])] if column < 4 else []
            if column > 1:
                streams = [self.merge(streams, i, column) for i in range(1, column + 1)]
            streams += coarser
        ups = [self.part(f"upsample4_{i}1")(x) for i, x in enumerate(streams[1:], start=2)]
        return on_map(self.final_layer, on_map(self.final, torch.cat([streams[0], *ups], 1)))
