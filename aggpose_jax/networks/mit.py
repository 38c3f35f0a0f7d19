"""The Mix Transformer (AggPose §3.2, Eq. 1–3; SegFormer, Xie et al. 2021).

Feature maps are [B, H, W, C] throughout. The parameters of a stage's blocks are stacked on a leading axis
(`stacking.py`).

A `Grid` implements the operations in which tokens interact; the default one is that of an image without masked patches.
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

from aggpose_jax.networks import depthwise, ops, stacking
from aggpose_jax.networks.layers import LayerNorm, Linear
from aggpose_jax.networks.transformer import drop_path, drop_path_rates

STRIDES = (4, 8, 16, 32)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
EXPANSION = 4
BLOCK_EPSILON = 1e-6  # epsilon of the LayerNorms in blocks and at the end of stages
EMBED_EPSILON = 1e-5  # epsilon of the LayerNorms in patch embeddings and in the sequence reduction of attention

VARIANTS = {  # name: (channels, numbers of blocks) of the four stages
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


def linear(features: int, dtype: Any, name: str) -> Linear:
    """Returns a linear layer with the initialisation of the Mix Transformer."""
    return Linear(features, dtype, linear_init, name=name)


@jax.tree_util.register_static
class Grid:
    """The operations in which tokens interact, on feature maps of complete images.

    Subclasses implement the same operations for images with masked patches.
    """

    def convolve(self, convolution: Callable[..., nn.Module], x: jax.Array, halo: int) -> jax.Array:
        """Returns a convolution of x.

        Args:
          convolution: function from the argument `padding` to the convolution as a Flax module.
          x: [B, H, W, C].
          halo: how many tokens the kernel extends from its centre.
        """
        return convolution(padding=halo)(x)

    def depthwise_gelu(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        """Returns GELU(3×3 depthwise convolution + bias), see `depthwise.depthwise_gelu`."""
        return depthwise.depthwise_gelu(x, kernel, bias)

    def reduce(self, reduction: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
        """Returns the sequence reduction of x [B, H, W, C]: tokens from which attention makes its keys and values."""
        return reduction(x)

    def mask_scores(self, scores: jax.Array) -> jax.Array:
        """Returns attention scores [B, heads, N, M], with −∞ for keys of masked patches."""
        return scores


FULL = Grid()


class PatchEmbed(nn.Module):
    """An overlapped patch embedding (§3.2): [B, H, W, C] → [B, H / stride, W / stride, width]."""

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
        return LayerNorm(EMBED_EPSILON, self.dtype, name="norm")(x)


class MixFFN(nn.Module):
    """A linear layer, 3×3 depthwise convolution, GELU and linear layer (Eq. 3): [B, H, W, C] → [B, H, W, out].

    There is no residual connection; `hidden` is the number of channels between the linear layers.
    """

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
    """A γ×γ convolution of stride γ and a LayerNorm (Eq. 1): [B, H, W, C] → [B, H / γ, W / γ, C]; γ is `ratio`."""

    ratio: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        c = x.shape[-1]
        kernel = self.param("kernel", convolution_init, (self.ratio, self.ratio, c, c))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        x = ops.reduce_windows(x, kernel.astype(x.dtype)) + bias.astype(x.dtype)
        return LayerNorm(EMBED_EPSILON, self.dtype, name="norm")(x)


class Attention(nn.Module):
    """A multi-head attention of all tokens to the reduced sequence (Eq. 1–2): [B, H, W, C] → [B, H, W, C]."""

    heads: int
    reduction: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, grid: Grid = FULL):
        b, h, w, c = x.shape
        reduced = x
        if self.reduction > 1:
            reduced = grid.reduce(SequenceReduction(self.reduction, self.dtype, name="reduce"), x)
        q = linear(c, self.dtype, "q")(x).reshape(b, h * w, self.heads, -1)
        kv = linear(2 * c, self.dtype, "kv")(reduced).reshape(b, -1, 2, self.heads, c // self.heads)
        scores = jnp.einsum("bnhd,bmhd->bhnm", q, kv[:, :, 0]) * (c // self.heads) ** -0.5
        scores = scores.astype(jnp.promote_types(jnp.float32, scores.dtype))
        weights = jax.nn.softmax(grid.mask_scores(scores)).astype(x.dtype)
        x = jnp.einsum("bhnm,bmhd->bnhd", weights, kv[:, :, 1]).reshape(b, h, w, c)
        return linear(c, self.dtype, "proj")(x)


class Block(nn.Module):
    """A transformer block: attention and a Mix-FFN, each with a LayerNorm before it, drop path and residual connection.

    Attributes:
      heads, reduction: number of attention heads, and reduction ratio γ of the sequence.
      train: whether drop path is active.
      dtype: type of activations and matrix products.
    """

    heads: int
    reduction: int
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x, drop_rate, grid: Grid = FULL):
        c = x.shape[-1]
        y = LayerNorm(BLOCK_EPSILON, self.dtype, name="norm1")(x)
        y = Attention(self.heads, self.reduction, self.dtype, name="attention")(y, grid)
        x = x + self.drop_path(y, drop_rate)
        y = LayerNorm(BLOCK_EPSILON, self.dtype, name="norm2")(x)
        y = MixFFN(EXPANSION * c, c, self.dtype, name="ffn")(y, grid)
        return x + self.drop_path(y, drop_rate)

    def drop_path(self, y, rate):
        """Returns the branch y [B, H, W, C], in training after drop path."""
        return drop_path(y, rate, self.make_rng("drop_path")) if self.train else y


class Stage(nn.Module):
    """A sequence of blocks and a final LayerNorm: [B, H, W, C] → [B, H, W, C]. A stage may have no blocks.

    Attributes:
      heads, reduction: number of attention heads, and reduction ratio γ of the sequence.
      drop_rates: drop-path rate of each block; the length is the depth of the stage.
      remat: recompute the activations of each block in the backward pass instead of storing them.
      unroll: blocks per iteration of the compiled loop; 0 is the default of the platform, see
        `stacking.default_unroll`.
      dtype: type of activations and matrix products.
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
        return LayerNorm(BLOCK_EPSILON, self.dtype, name="norm")(x)

    def blocks(self, x, train: bool, grid: Grid):
        """Runs the blocks: as one compiled loop over their stacked parameters, or one by one if these lie apart."""
        depth = len(self.drop_rates)
        if self.has_variable("params", stacking.block_name(0)):
            for number, rate in enumerate(self.drop_rates):
                name = stacking.block_name(number)
                x = Block(self.heads, self.reduction, train, self.dtype, name=name)(x, rate, grid)
            return x
        unroll = self.unroll or stacking.default_unroll(depth, train)
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


class MixTransformer(nn.Module):
    """A Mix Transformer encoder: images [B, H, W, 3] → four feature maps at strides 4, 8, 16 and 32.

    Attributes:
      widths, depths: channels and numbers of blocks of the four stages.
      drop_path: drop-path rate of the last block, see `drop_path_rates`.
      remat, unroll, dtype: see `Stage`.
    """

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
    """Returns the layer-decay depth of each parameter: the number of layers from it to the head, whose depth is 0.

    Every block is a layer. Columns follow one another. Each has as many layers as its deepest stage has blocks, and the
    blocks of shallower stages belong to its first layers. An embedding or a fusion belongs to the layer before it; the
    first embedding is a layer of its own.

    Args:
      params: arrays or shapes by path, of a network that consists of Mix Transformer stages.
      pattern: regular expression for the beginning of the paths of the encoder. Its group `kind` is "stage", "embed" or
        a module of a fusion; `column` is the number of the column, which in a plain Mix Transformer is the stage.

    Returns:
      An int array for each path: () or, for stacked parameters of blocks, [blocks, 1, …].
    """
    prefix = re.compile(pattern)
    blocks = {path.split("/blocks/")[0] + "/": leaf.shape[0] for path, leaf in params.items() if "/blocks/" in path}
    layers: defaultdict[int, int] = defaultdict(int)
    for stage, count in blocks.items():
        match = prefix.match(stage)
        assert match is not None  # only stages contain stacked blocks
        column = int(match["column"])
        layers[column] = max(layers[column], count)
    total = sum(layers.values())

    def depth(path: str, leaf: Any) -> np.ndarray:
        module = prefix.match(path)
        if not module:
            return np.zeros((), int)
        kind, column = module["kind"], int(module["column"])
        before = sum(layers[c] for c in range(1, column))
        layer: int | np.ndarray
        if "/blocks/" in path:
            layer = np.arange(1, leaf.shape[0] + 1).reshape(-1, *(1,) * (len(leaf.shape) - 1))
        elif kind == "stage":
            layer = blocks.get(module[0], 0)
        else:
            layer = 0 if kind == "embed" else layers[column]
        return np.asarray(total + 1 - before - layer)

    return {path: depth(path, leaf) for path, leaf in params.items()}
