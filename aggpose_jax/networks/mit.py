"""Mix Transformer (AggPose §3.2, Eq. 1–3; SegFormer, Xie et al. 2021).

Feature maps are [B, H, W, C] throughout. The parameters of a stage's blocks are stacked on a leading axis.
A `Grid` defines how a token meets its neighbours; the default one is that of an image of which nothing is missing.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks import ops

STRIDES = (4, 8, 16, 32)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
EXPANSION = 4
BLOCK_EPSILON = 1e-6  # of LayerNorms in blocks and after stages
EMBED_EPSILON = 1e-5  # of LayerNorms in patch embeddings and after the sequence reduction
MOST_UNROLLED = 8  # blocks of a stage whose gradient CPUs compute without a loop

VARIANTS = {  # name: (widths, depths) of the four stages
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
    "tiny": ((16, 32, 80, 128), (1, 1, 1, 1)),
}

linear_init = nn.initializers.truncated_normal(0.02)
convolution_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
depthwise_init = nn.initializers.normal(math.sqrt(2 / 9))  # fan-out of a depthwise 3×3 convolution is 9


def linear(features: int, dtype: Any, name: str) -> nn.Dense:
    """A linear layer with the initialisation of the Mix Transformer."""
    return nn.Dense(features, dtype=dtype, kernel_init=linear_init, name=name)


def layer_norm(epsilon: float, dtype: Any, name: str) -> nn.LayerNorm:
    """A LayerNorm whose variance survives inputs of large mean."""
    return nn.LayerNorm(epsilon=epsilon, dtype=dtype, use_fast_variance=False, name=name)


@jax.tree_util.register_static
class Grid:
    """The three places where a token meets others, on feature maps of which nothing is missing."""

    def convolve(self, convolution: Callable[..., nn.Module], x: jax.Array, halo: int) -> jax.Array:
        """Applies the module that `convolution` makes of a padding; its kernel reaches `halo` from its centre."""
        return convolution(padding=halo)(x)

    def depthwise_gelu(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        """See `ops.depthwise_gelu`."""
        return ops.depthwise_gelu(x, kernel, bias)

    def hide(self, scores: jax.Array) -> jax.Array:
        """Scores [B, heads, N, M] of attention, those of keys that must not be seen at −∞."""
        return scores


FULL = Grid()


class PatchEmbed(nn.Module):
    """Overlapped patch embedding (§3.2): [B, H, W, C] → [B, H / stride, W / stride, width]."""

    width: int
    kernel: int = 3
    stride: int = 2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, grid: Grid = FULL):
        convolution = functools.partial(
            nn.Conv,
            self.width,
            (self.kernel, self.kernel),
            strides=self.stride,
            dtype=self.dtype,
            kernel_init=convolution_init,
            name="proj",
        )
        x = grid.convolve(convolution, x, self.kernel // 2)
        return layer_norm(EMBED_EPSILON, self.dtype, "norm")(x)


class MixFFN(nn.Module):
    """Linear, 3×3 depthwise convolution, GELU, linear, without residual (Eq. 3): [B, H, W, C] → [B, H, W, out]."""

    hidden: int
    out: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, grid: Grid = FULL):
        x = linear(self.hidden, self.dtype, "fc1")(x)
        kernel = self.param("depthwise_kernel", depthwise_init, (3, 3, self.hidden))
        bias = self.param("depthwise_bias", nn.initializers.zeros, (self.hidden,))
        x = grid.depthwise_gelu(x, kernel.astype(x.dtype), bias.astype(x.dtype))
        return linear(self.out, self.dtype, "fc2")(x)


class SequenceReduction(nn.Module):
    """γ×γ convolution of stride γ and LayerNorm (Eq. 1): [B, H, W, C] → [B, H / γ, W / γ, C]."""

    ratio: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        c = x.shape[-1]
        kernel = self.param("kernel", convolution_init, (self.ratio, self.ratio, c, c))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        x = ops.reduce_windows(x, kernel.astype(x.dtype)) + bias.astype(x.dtype)
        return layer_norm(EMBED_EPSILON, self.dtype, "norm")(x)


class Attention(nn.Module):
    """Multi-head attention of all tokens to the reduced ones (Eq. 1–2): [B, H, W, C] → [B, H, W, C]."""

    heads: int
    reduction: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, grid: Grid = FULL):
        b, h, w, c = x.shape
        reduced = x
        if self.reduction > 1:
            reduced = SequenceReduction(self.reduction, self.dtype, name="reduce")(x)
        q = linear(c, self.dtype, "q")(x).reshape(b, h * w, self.heads, -1)
        kv = linear(2 * c, self.dtype, "kv")(reduced).reshape(b, -1, 2, self.heads, c // self.heads)
        scores = jnp.einsum("bnhd,bmhd->bhnm", q, kv[:, :, 0]) * (c // self.heads) ** -0.5
        scores = scores.astype(jnp.promote_types(jnp.float32, scores.dtype))
        weights = jax.nn.softmax(grid.hide(scores)).astype(x.dtype)
        x = jnp.einsum("bhnm,bmhd->bnhd", weights, kv[:, :, 1]).reshape(b, h, w, c)
        return linear(c, self.dtype, "proj")(x)


class Block(nn.Module):
    """Attention and Mix-FFN, each normalised before and added with drop path."""

    heads: int
    reduction: int
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, drop_rate, grid: Grid = FULL):
        c = x.shape[-1]
        y = layer_norm(BLOCK_EPSILON, self.dtype, "norm1")(x)
        y = Attention(self.heads, self.reduction, self.dtype, name="attention")(y, grid)
        x = x + self.drop_path(y, drop_rate)
        y = layer_norm(BLOCK_EPSILON, self.dtype, "norm2")(x)
        y = MixFFN(EXPANSION * c, c, self.dtype, name="ffn")(y, grid)
        return x + self.drop_path(y, drop_rate)

    def drop_path(self, y, rate):
        """Drops the whole branch of an example with probability `rate`, and scales the kept ones up for it."""
        if not self.train:
            return y
        keep = 1.0 - rate
        kept = jax.random.bernoulli(self.make_rng("drop_path"), keep, (y.shape[0], 1, 1, 1))
        return jnp.where(kept, y / keep.astype(y.dtype), 0)


class Stage(nn.Module):
    """Blocks, then a LayerNorm: [B, H, W, C] → [B, H, W, C]. A stage may have no block.

    Attributes:
      heads, reduction: of the attention.
      drop_rates: drop-path rate of each block; their number is the stage's depth.
      remat: recompute each block in the backward pass instead of keeping its activations.
      unroll: blocks in one iteration of the compiled loop; 0 is what suits the platform, see `blocks_at_once`.
    """

    heads: int
    reduction: int
    drop_rates: Sequence[float]
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool = False, grid: Grid = FULL):
        if self.drop_rates:
            x = self.blocks(x, train, grid)
        return layer_norm(BLOCK_EPSILON, self.dtype, "norm")(x)

    def blocks(self, x, train: bool, grid: Grid):
        """Runs the blocks as one compiled loop over their stacked parameters."""
        depth = len(self.drop_rates)
        unroll = self.unroll or blocks_at_once(depth, train)
        loop = nn.scan(
            lambda block, x, rate: (block(x, rate, grid), None),
            variable_axes={"params": 0},
            split_rngs={"params": True, "drop_path": True},
            length=depth,
            unroll=1 if self.is_initializing() else min(unroll, depth),
        )
        block_class = nn.remat(Block, prevent_cse=False) if self.remat else Block
        block = block_class(self.heads, self.reduction, train, self.dtype, name="blocks")
        return loop(block, x, jnp.asarray(self.drop_rates, jnp.float32))[0]


def blocks_at_once(depth: int, train: bool) -> int:
    """How many blocks of a stage one iteration of its compiled loop does best.

    Args:
      depth: blocks of the stage.
      train: a gradient will be taken.

    Returns:
      On CPU all of them, which takes up to a fifth less time, but 1 for the gradient of a deep stage: without a loop
      its time grows faster than the depth. From about 10 blocks on that is slower; at 40, eight images of B5 took 6
      times the time. Elsewhere 1, which compiles faster.
    """
    whole = jax.default_backend() == "cpu" and (depth <= MOST_UNROLLED or not train)
    return depth if whole else 1


def drop_path_rates(depths: Sequence[int], highest: float) -> list[tuple[float, ...]]:
    """Rates that rise linearly from 0 to `highest` over all blocks, one tuple a stage."""
    rates = np.linspace(0.0, highest, sum(depths))
    ends = np.cumsum(depths)
    return [tuple(rates[end - depth : end].tolist()) for depth, end in zip(depths, ends, strict=True)]


class MixTransformer(nn.Module):
    """The encoder: images [B, H, W, 3] → four feature maps at strides 4, 8, 16, 32."""

    widths: Sequence[int]
    depths: Sequence[int]
    drop_path: float = 0.1
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, train: bool = False, grid: Grid = FULL):
        rates = drop_path_rates(self.depths, self.drop_path)
        features, x = [], images
        for i, width in enumerate(self.widths):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            x = PatchEmbed(width, kernel, stride, self.dtype, name=f"embed{i + 1}")(x, grid)
            x = Stage(HEADS[i], REDUCTIONS[i], rates[i], self.remat, self.unroll, self.dtype, name=f"stage{i + 1}")(
                x, train, grid
            )
            features.append(x)
        return features


def layer_decay_depths(params: Mapping[str, Any], pattern: str) -> dict[str, np.ndarray]:
    """The number of layers from each parameter of a network of Mix Transformer stages to its head, which has 0.

    A layer is a block. Columns follow one another, each as long as its deepest stage, and shallower stages begin with
    it. An embedding or a fusion belongs to the layer before it, the first embedding to a layer of its own.

    Args:
      params: arrays or shapes by path.
      pattern: of the beginning of the paths of the encoder; its group `kind` is "stage", "embed" or a module of a
        fusion, `column` the number of the column, which in a plain Mix Transformer is the stage.
    """
    prefix = re.compile(pattern)
    blocks = {path.split("/blocks/")[0] + "/": leaf.shape[0] for path, leaf in params.items() if "/blocks/" in path}
    longest = defaultdict(int)
    for stage, count in blocks.items():
        column = int(prefix.match(stage)["column"])
        longest[column] = max(longest[column], count)
    total = sum(longest.values())

    def depth(path: str, leaf: Any) -> np.ndarray:
        module = prefix.match(path)
        if not module:
            return np.zeros((), int)
        kind, column = module["kind"], int(module["column"])
        before = sum(longest[c] for c in range(1, column))
        if "/blocks/" in path:
            number = np.arange(1, leaf.shape[0] + 1).reshape(-1, *(1,) * (len(leaf.shape) - 1))
        elif kind == "stage":
            number = blocks.get(module[0], 0)
        else:
            number = 0 if kind == "embed" else longest[column]
        return np.asarray(total + 1 - before - number)

    return {path: depth(path, leaf) for path, leaf in params.items()}
