"""Masked autoencoder around a Mix Transformer: a few units of an image are seen, the pixels of the others predicted.

After He et al. 2022 (MAE), with the mask in units of 32×32 pixels so that the convolutions of a Mix Transformer keep
their meaning. The encoder gets no positions: its weights are those of any Mix Transformer, and go into pose networks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax.networks import mit, mit_pose
from aggpose_jax.networks.mask_patches import (
    PATCH,
    MaskedFullEncode,
    VisiblePatches,
    gather,
    scatter,
    sine_positions,
    split_patches,
)
from aggpose_jax.networks.mit import BLOCK_EPSILON, Block, MixTransformer, layer_norm, linear, linear_init
from aggpose_jax.networks.network import Network

VARIANCE_EPSILON = 1e-6  # of the pixels of a unit


class Decoder(nn.Module):
    """Units seen by the encoder → pixels of all units: [B, V, C], [B, V] → [B, rows · columns, 32·32·3].

    Its blocks are those of the encoder. The depthwise convolutions, which a Vision Transformer has not, let every unit
    know its neighbours at once: most of what can be said of a masked unit is in them.
    """

    rows: int
    columns: int
    depth: int
    heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, seen, kept):
        b, _, c = seen.shape
        mask_token = self.param("mask_token", linear_init, (1, c)).astype(seen.dtype)
        masked = jnp.broadcast_to(mask_token, (self.rows * self.columns, c))
        x = scatter(seen, kept, masked) + sine_positions(self.rows, self.columns, c).astype(seen.dtype)
        x = x.reshape(b, self.rows, self.columns, c)
        for i in range(self.depth):
            x = Block(self.heads, 1, False, self.dtype, name=f"block{i + 1}")(x, 0.0)
        x = layer_norm(BLOCK_EPSILON, self.dtype, "norm")(x)
        return linear(PATCH * PATCH * 3, self.dtype, "pixels")(x).reshape(b, self.rows * self.columns, -1)


class MaskedAutoencoder(nn.Module):
    """Images [B, H, W, 3], kept units [B, V] → predicted pixels of every unit [B, U, 32·32·3], normalised per unit.

    H and W divide by 32. U = H / 32 · W / 32 units are numbered in the order of reading; the kept ones differ.

    Attributes:
      widths, depths: of the Mix Transformer.
      decoder_width, decoder_depth, decoder_heads: of the transformer that predicts.
      dense: compute the dropped units too, and mask: same numbers, full cost.
      drop_path, remat, unroll, dtype: see `mit.MixTransformer`.
    """

    widths: Sequence[int]
    depths: Sequence[int]
    decoder_width: int = 512
    decoder_depth: int = 4
    decoder_heads: int = 16
    dense: bool = False
    drop_path: float = 0.0
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, kept, train: bool = False):
        _, h, w, _ = images.shape
        encoder = MixTransformer(
            self.widths, self.depths, self.drop_path, self.remat, self.unroll, self.dtype, name="encoder"
        )
        levels = encode_visible(encoder, images.astype(self.dtype), kept, train, self.dense)
        seen = sum(
            linear(self.decoder_width, self.dtype, f"join{i}")(tokens.reshape(*kept.shape, -1))
            for i, tokens in enumerate(levels, start=1)
        )
        seen = layer_norm(BLOCK_EPSILON, self.dtype, "norm")(seen)
        pixels = Decoder(h // PATCH, w // PATCH, self.decoder_depth, self.decoder_heads, self.dtype, name="decoder")(
            seen, kept
        )
        return pixels.astype(jnp.promote_types(jnp.float32, pixels.dtype))


def encode_visible(encoder: Callable, images: jax.Array, kept: jax.Array, train: bool, dense: bool) -> list[jax.Array]:
    """What a Mix Transformer makes of images of which it sees the kept units only.

    Args:
      encoder: images, train, grid → feature maps.
      images: [B, H, W, 3].
      kept: [B, V] which units, all different.
      train: see `Block.drop_path`.
      dense: compute the whole grid.

    Returns:
      The tokens of the kept units at the four levels, each [B, V, s, s, C].
    """
    rows, columns = images.shape[1] // PATCH, images.shape[2] // PATCH
    if dense:
        visible = jax.nn.one_hot(kept, rows * columns, dtype=bool).any(1).reshape(-1, rows, columns)
        features = encoder(images, train, MaskedFullEncode(visible))
        return [gather(split_patches(x, x.shape[1] // rows), kept) for x in features]
    grid = VisiblePatches(kept, rows, columns)
    features = encoder(grid.take(images), train, grid)
    return [x.reshape(*kept.shape, x.shape[2], x.shape[2], -1) for x in features]


def normalise_patches(pixels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Pixels [..., 32·32·3] with mean 0 and variance 1 in each unit, the mean and the deviation taken out."""
    mean, variance = pixels.mean(-1, keepdims=True), pixels.var(-1, keepdims=True)
    deviation = jnp.sqrt(variance + VARIANCE_EPSILON)
    return (pixels - mean) / deviation, mean, deviation


def masked_loss(
    predicted: jax.Array,
    images: jax.Array,
    kept: jax.Array,
    weight: jax.Array | None = None,
    normalised: bool = True,
) -> jax.Array:
    """Mean squared error over the pixels of masked units.

    Args:
      predicted: [B, U, 32·32·3].
      images: [B, H, W, 3], of any scale.
      kept: [B, V] the units that were seen.
      weight: [B] of each image; None is 1 for all.
      normalised: the pixels predicted are those normalised in each unit.
    """
    targets = split_patches(images).reshape(predicted.shape)
    if normalised:
        targets = normalise_patches(targets)[0]
    errors = jnp.square(predicted - targets).mean(-1)
    masked = mask_of(kept, errors.shape[1]) * (1 if weight is None else weight[:, None])
    return (errors * masked).sum() / jnp.maximum(masked.sum(), 1)


def mask_of(kept: jax.Array, units: int) -> jax.Array:
    """[B, V] kept units → [B, units] float32: 1 for a masked unit, 0 for a kept one."""
    return 1.0 - jax.nn.one_hot(kept, units).sum(1)


NETWORK = Network(
    module=MaskedAutoencoder,
    variants={name: {"widths": widths, "depths": depths} for name, (widths, depths) in mit.VARIANTS.items()},
    stride=PATCH,
    depths=mit_pose.depths,
    backbone=mit_pose.backbone,
)
