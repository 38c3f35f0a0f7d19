"""A masked autoencoder on a Mix Transformer: a few patches of an image are visible, and it predicts the masked ones.

After He et al. 2022 (MAE), with mask patches of 32×32 or 16×16 pixels: within a visible patch, the convolutions of a
Mix Transformer work on adjacent pixels as usual. The encoder has no position embeddings, so its parameters are those of
a plain Mix Transformer and can initialise pose networks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax.networks import mit, mit_pose, ops
from aggpose_jax.networks.layers import LayerNorm
from aggpose_jax.networks.mask_patches import (
    PATCH,
    MaskedFullEncode,
    VisiblePatches,
    gather,
    scatter,
    sine_positions,
    split_patches,
)
from aggpose_jax.networks.mit import BLOCK_EPSILON, Block, MixTransformer, linear, linear_init
from aggpose_jax.networks.network import Network

VARIANCE_EPSILON = 1e-6  # added to the variance of the pixels of a mask patch before they are divided by its root


class Decoder(nn.Module):
    """A decoder that predicts the pixels, or other values, of all mask patches from the encoded visible ones.

    Encoded patches [B, V, C] and their indices [B, V] → [B, rows · columns, outputs]. It consists of blocks of
    the same type as the encoder. Their depthwise convolutions, which a Vision Transformer does not have, give every
    patch direct access to its neighbours, which contain most of the information about a masked patch.
    """

    rows: int
    columns: int
    outputs: int
    head: str
    depth: int
    heads: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, encoded, visible):
        b, _, c = encoded.shape
        mask_token = self.param("mask_token", linear_init, (1, c)).astype(encoded.dtype)
        masked = jnp.broadcast_to(mask_token, (self.rows * self.columns, c))
        x = scatter(encoded, visible, masked) + sine_positions(self.rows, self.columns, c).astype(encoded.dtype)
        x = x.reshape(b, self.rows, self.columns, c)
        for i in range(self.depth):
            x = Block(self.heads, 1, False, self.dtype, name=f"block{i + 1}")(x, 0.0)
        x = LayerNorm(BLOCK_EPSILON, self.dtype, name="norm")(x)
        return linear(self.outputs, self.dtype, self.head)(x).reshape(b, self.rows * self.columns, -1)


class MaskedAutoencoder(nn.Module):
    """A masked autoencoder: images [B, H, W, 3], visible patches [B, V] → pixels of all mask patches [B, U, s·s·3].

    The predicted pixels are normalised per patch if it is trained so, see `pixel_targets`. H and W must be multiples of
    32. The U = H / s · W / s mask patches of s×s pixels are numbered row by row. The V indices of an image differ.

    Attributes:
      widths, depths: channels and numbers of blocks of the four stages of the Mix Transformer.
      decoder_width, decoder_depth, decoder_heads: channels, number of blocks and attention heads of the decoder.
      mask_patch: side s of a mask patch in pixels, 32 or 16. Patches of 16×16 pixels need the masked full encode.
      heatmaps: number K of heatmaps of a quarter of the size that are predicted instead of pixels, [B, U, (s/4)²·K];
        0 predicts pixels.
      dense: use the masked full encode, which computes masked patches too: the results are equal, at full cost.
      drop_path, remat, unroll, dtype: see `mit.MixTransformer`.
    """

    widths: Sequence[int]
    depths: Sequence[int]
    decoder_width: int = 512
    decoder_depth: int = 4
    decoder_heads: int = 16
    mask_patch: int = PATCH
    heatmaps: int = 0
    dense: bool = False
    drop_path: float = 0.0
    remat: bool = False
    unroll: int = 0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images, visible, train: bool = False):
        _, h, w, _ = images.shape
        encoder = MixTransformer(
            self.widths, self.depths, self.drop_path, self.remat, self.unroll, self.dtype, name="encoder"
        )
        side = self.mask_patch
        levels = encode_visible(encoder, images.astype(self.dtype), visible, train, self.dense, side)
        encoded = sum(
            linear(self.decoder_width, self.dtype, f"join{i}")(tokens.reshape(*visible.shape, -1))
            for i, tokens in enumerate(levels, start=1)
        )
        encoded = LayerNorm(BLOCK_EPSILON, self.dtype, name="norm")(encoded)
        outputs, head = ((side // 4) ** 2 * self.heatmaps, "heatmaps") if self.heatmaps else (side * side * 3, "pixels")
        decoder = Decoder(
            h // side, w // side, outputs, head, self.decoder_depth, self.decoder_heads, self.dtype, name="decoder"
        )
        predicted = decoder(encoded, visible)
        return predicted.astype(jnp.promote_types(jnp.float32, predicted.dtype))


def encode_visible(
    encoder: Callable, images: jax.Array, visible: jax.Array, train: bool, dense: bool, side: int = PATCH
) -> list[jax.Array]:
    """Returns the features of the visible patches of images, computed by a Mix Transformer from these patches alone.

    Args:
      encoder: function from (images, train, grid) to the feature maps of the four stages.
      images: [B, H, W, 3].
      visible: [B, V] distinct indices of the visible patches.
      train: whether drop path is active, see `Block.drop_path`.
      dense: use the masked full encode instead of encoding the visible patches only; implied by patches of 16 pixels.
      side: side of a patch in pixels, 32 or 16.

    Returns:
      The tokens of the visible patches after each of the four stages, [B, V, s, s, C] with s = 8, 4, 2 and 1, or with
      s = 4, 2, 1 and 1 for patches of 16×16 pixels, of which four share a token after the last stage.
    """
    rows, columns = images.shape[1] // side, images.shape[2] // side
    if dense or side < PATCH:
        is_visible = jax.nn.one_hot(visible, rows * columns, dtype=bool).any(1).reshape(-1, rows, columns)
        features = encoder(images, train, MaskedFullEncode(is_visible, side))
        return [_visible_tokens(x, visible, rows) for x in features]
    grid = VisiblePatches(visible, rows, columns)
    features = encoder(grid.take(images), train, grid)
    return [x.reshape(*visible.shape, x.shape[2], x.shape[2], -1) for x in features]


def _visible_tokens(x: jax.Array, visible: jax.Array, rows: int) -> jax.Array:
    """Returns the tokens [B, V, s, s, C] of the visible patches in a map [B, H, W, C] with `rows` rows of patches."""
    if x.shape[1] < rows:
        x = ops.upsample_nearest(x, rows // x.shape[1])
    return gather(split_patches(x, x.shape[1] // rows), visible)


def normalise_patches(pixels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns pixels [..., s·s·3] normalised to mean 0 and variance 1 per mask patch, and the means and deviations.

    The means and the standard deviations that were removed are [..., 1].
    """
    mean, variance = pixels.mean(-1, keepdims=True), pixels.var(-1, keepdims=True)
    deviation = jnp.sqrt(variance + VARIANCE_EPSILON)
    return (pixels - mean) / deviation, mean, deviation


def pixel_targets(images: jax.Array, normalised: bool = True, side: int = PATCH) -> jax.Array:
    """Returns the pixels of all mask patches, [B, U, s·s·3], which the network predicts.

    Args:
      images: [B, H, W, 3], in the scale of the predictions unless these are normalised.
      normalised: normalise the pixels per mask patch, see `normalise_patches`.
      side: side s of a mask patch in pixels.
    """
    patches = split_patches(images, side)
    patches = patches.reshape(*patches.shape[:2], -1)
    return normalise_patches(patches)[0] if normalised else patches


def masked_mse(
    predicted: jax.Array, targets: jax.Array, visible: jax.Array, weight: jax.Array | None = None
) -> jax.Array:
    """Returns the mean squared error over the values of the masked patches, a scalar.

    Args:
      predicted, targets: [B, U, D].
      visible: [B, V] indices of the visible patches.
      weight: [B] weights of the images; None gives all of them weight 1.
    """
    errors = jnp.square(predicted - targets).mean(-1)
    masked = mask_of(visible, errors.shape[1]) * (1 if weight is None else weight[:, None])
    return (errors * masked).sum() / jnp.maximum(masked.sum(), 1)


def mask_of(visible: jax.Array, patches: int) -> jax.Array:
    """Returns the mask, float32 [B, patches]: 0 at the indices [B, V] of visible patches, 1 at masked patches."""
    return 1.0 - jax.nn.one_hot(visible, patches).sum(1)


NETWORK = Network(
    module=MaskedAutoencoder,
    variants={name: {"widths": widths, "depths": depths} for name, (widths, depths) in mit.VARIANTS.items()},
    stride=PATCH,
    depths=mit_pose.depths,
    backbone=mit_pose.backbone,
)
