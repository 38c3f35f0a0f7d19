"""Tests of the masked autoencoder: its two encodings are equal, and its predictions do not depend on masked pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax import networks
from aggpose_jax.networks import mae, mask_patches, mit

ROWS, COLUMNS, VISIBLE = 3, 2, 3
SMALL = {
    "widths": (4, 8, 10, 16),
    "depths": (1, 2, 1, 1),
    "decoder_width": 32,
    "decoder_depth": 1,
    "decoder_heads": 4,
    "drop_path": 0.0,
}


def make(dense: bool, dtype=jnp.float32, side: int = 32) -> mae.MaskedAutoencoder:
    return mae.MaskedAutoencoder(**SMALL, dense=dense, dtype=dtype, mask_patch=side)


def inputs(dtype=np.float32, side: int = 32):
    """Returns parameters, images and indices of visible patches of `side` pixels: of 6 or of 24 patches.

    All parameters are random, because zero biases would hide leaks of masked patches.
    """
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 32 * ROWS, 32 * COLUMNS, 3)).astype(dtype)
    visible = jnp.array([[4, 1, 0], [5, 2, 3]]) if side == 32 else jnp.array([[0, 7, 22, 23], [5, 10, 16, 2]])
    shapes = jax.eval_shape(make(False, dtype, side).init, jax.random.key(0), images, visible)["params"]
    return jax.tree.map(lambda leaf: (0.3 * rng.standard_normal(leaf.shape)).astype(dtype), shapes), images, visible


def encode(params, images, visible, dense, dtype=jnp.float32):
    """Returns the features of the visible patches at the four levels."""
    encoder = functools.partial(
        mit.MixTransformer(SMALL["widths"], SMALL["depths"], 0.0, dtype=dtype).apply, {"params": params["encoder"]}
    )
    return mae.encode_visible(encoder, images, visible, False, dense)


@functools.partial(jax.jit, static_argnames="dense")
def run(params, images, visible, dense):
    """Returns the features at the four levels, the loss, and two gradients.

    The gradients are those of a randomly weighted sum of all predictions with respect to the parameters and the pixels.
    """

    def predict(params, images):
        return make(dense).apply({"params": params}, images, visible)

    predicted, vjp = jax.vjp(predict, params, images)
    loss = mae.masked_mse(predicted, mae.pixel_targets(images), visible)
    weights = jax.random.normal(jax.random.key(1), predicted.shape)
    return encode(params, images, visible, dense), loss, *vjp(weights)


@pytest.fixture(scope="module")
def both():
    arguments = inputs()
    return {dense: run(*arguments, dense=dense) for dense in (False, True)}


def test_visible_patch_encoding_equals_the_masked_full_encode(both):
    (levels, loss, gradients, _), (full_levels, full_loss, full_gradients, _) = both[False], both[True]
    assert [level.shape for level in levels] == [(2, 3, s, s, c) for s, c in ((8, 4), (4, 8), (2, 10), (1, 16))]
    for actual, expected in zip(levels, full_levels, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)
    np.testing.assert_allclose(loss, full_loss, atol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(full_gradients))
    for (path, actual), expected in zip(
        jax.tree_util.tree_leaves_with_path(gradients), jax.tree.leaves(full_gradients), strict=True
    ):
        # The gradients of the biases of keys are zero up to rounding errors.
        tolerance = 1e-4 * np.abs(expected).max() + 1e-7 * largest
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=str(path))


def test_both_encodings_are_equal_in_double_precision():
    @functools.partial(jax.jit, static_argnames="dense")
    def forward(params, images, visible, dense):
        predicted = make(dense, jnp.float64).apply({"params": params}, images, visible)
        return encode(params, images, visible, dense, jnp.float64), mae.masked_mse(
            predicted, mae.pixel_targets(images), visible
        )

    with jax.enable_x64(True):
        arguments = inputs(np.float64)
        results = [forward(*arguments, dense=dense) for dense in (False, True)]
    for actual, expected in zip(*map(jax.tree.leaves, results), strict=True):
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, expected, atol=1e-10)


@pytest.mark.parametrize("dense", [False, True])
def test_predictions_depend_on_all_visible_patches_and_on_no_masked_pixel(both, dense):
    gradient = mask_patches.split_patches(both[dense][3])
    visible = np.asarray(inputs()[2])
    for image in range(2):
        masked = sorted(set(range(ROWS * COLUMNS)) - set(visible[image].tolist()))
        assert np.abs(gradient[image, masked]).max() == 0
        assert (np.abs(gradient[image, visible[image]]).reshape(VISIBLE, -1).max(1) > 0).all()


def last_token_instead_of_none(grid, x, kernel, bias):
    indices = jnp.minimum(grid.neighbours(x.shape[2]), x.shape[1] * x.shape[2] - 1)
    return mask_patches._stacked_depthwise_gelu(x, kernel, bias, indices)


def ones_instead_of_zeros(grid, x):
    b, _, s, c = x.shape
    background = jnp.ones((grid.rows * grid.columns, s, s, c))
    return mask_patches.join_patches(
        mask_patches.scatter(x.reshape(b, -1, s, s, c), grid.visible, background), grid.rows
    )


REMOVED = {  # substitutes that disable one mask: whether it is one of the masked full encode, class, method, substitute
    "embeddings of the masked full encode": (True, mask_patches.MaskedFullEncode, "convolve", mit.Grid.convolve),
    "depthwise convolutions of the masked full encode": (
        True,
        mask_patches.MaskedFullEncode,
        "depthwise_gelu",
        mit.Grid.depthwise_gelu,
    ),
    "keys of the masked full encode": (True, mask_patches.MaskedFullEncode, "mask_scores", mit.Grid.mask_scores),
    "embeddings of visible patches": (False, mask_patches.VisiblePatches, "put", ones_instead_of_zeros),
    "neighbours of visible patches": (False, mask_patches.VisiblePatches, "depthwise_gelu", last_token_instead_of_none),
}


@pytest.mark.parametrize("name", REMOVED)
def test_the_encodings_differ_without_any_one_of_the_masks(both, monkeypatch, name):
    dense, grid_class, method, substitute = REMOVED[name]
    monkeypatch.setattr(grid_class, method, substitute)
    broken = jax.jit(functools.partial(encode, dense=dense))(*inputs())
    assert max(np.abs(a - b).max() for a, b in zip(broken, both[not dense][0], strict=True)) > 1e-3


def children(visible: np.ndarray) -> np.ndarray:
    """Returns the indices [B, 4·V] of the four 16×16-pixel patches in each of the 32×32-pixel patches [B, V]."""
    row, column = np.divmod(np.asarray(visible), COLUMNS)
    corner = 4 * COLUMNS * row + 2 * column
    return (corner[..., None] + np.array([0, 1, 2 * COLUMNS, 2 * COLUMNS + 1])).reshape(len(visible), -1)


def test_small_patches_that_fill_large_ones_are_encoded_like_these(both):
    params, images, visible = inputs()
    encoder = functools.partial(
        mit.MixTransformer(SMALL["widths"], SMALL["depths"], 0.0).apply, {"params": params["encoder"]}
    )
    small = jax.jit(functools.partial(mae.encode_visible, encoder, train=False, dense=False, side=16))(
        images, jnp.asarray(children(visible))
    )
    assert [level.shape for level in small] == [(2, 12, s, s, c) for s, c in ((4, 4), (2, 8), (1, 10), (1, 16))]
    for level, large in zip(small, both[False][0], strict=True):
        side = level.shape[2]
        split = [mask_patches.split_patches(patch, side) for patch in np.asarray(large)]  # Each is [V, 4, side, …].
        if large.shape[2] == 1:  # At the last level, four patches share a token.
            split = [np.repeat(patch, 4, axis=1) for patch in split]
        np.testing.assert_allclose(level, np.stack(split).reshape(level.shape), atol=1e-5)


def test_predictions_from_small_patches_depend_on_all_visible_and_on_no_masked_pixel():
    params, images, visible = inputs(side=16)

    @jax.jit
    def predict(params, images):
        return make(False, side=16).apply({"params": params}, images, visible)

    predicted, vjp = jax.vjp(predict, params, images)
    assert predicted.shape == (2, 24, 16 * 16 * 3)
    gradient = mask_patches.split_patches(vjp(jax.random.normal(jax.random.key(1), predicted.shape))[1], 16)
    masked = np.asarray(mae.mask_of(visible, 24), bool)
    assert np.abs(gradient[masked]).max() == 0
    assert (np.abs(gradient[~masked]).reshape(8, -1).max(1) > 0).all()
    patches = np.array(mask_patches.split_patches(images, 16))
    patches[masked] = 9.0
    changed = mask_patches.join_patches(patches, 2 * ROWS)
    np.testing.assert_array_equal(predict(params, changed), predict(params, images))


def unmasked_reduction(grid, reduction, x):
    return reduction(x)


def test_keys_of_partly_visible_patches_are_made_of_masked_tokens_too_without_the_mask(monkeypatch):
    params, images, visible = inputs(side=16)
    encoder = functools.partial(
        mit.MixTransformer(SMALL["widths"], SMALL["depths"], 0.0).apply, {"params": params["encoder"]}
    )
    levels = mae.encode_visible(encoder, images, visible, False, True, 16)
    monkeypatch.setattr(mask_patches.MaskedFullEncode, "reduce", unmasked_reduction)
    unmasked = mae.encode_visible(encoder, images, visible, False, True, 16)
    assert max(np.abs(a - b).max() for a, b in zip(levels, unmasked, strict=True)) > 1e-3


@pytest.mark.parametrize("fields", [{}, {"mask_patch": 16, "heatmaps": 3}])
def test_the_encoder_has_the_parameters_of_a_mix_transformer(fields):
    name = "b0"
    encoder = jax.eval_shape(
        lambda: networks.build(f"mae_{name}", **fields).init(
            jax.random.key(0), jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 2), int)
        )
    )["params"]["encoder"]
    plain = mit.MixTransformer(*mit.VARIANTS[name])
    expected = jax.eval_shape(lambda: plain.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))["params"]
    assert jax.tree.map(jnp.shape, encoder) == jax.tree.map(jnp.shape, expected)


def test_heatmaps_are_predicted_instead_of_pixels():
    images, visible = jnp.zeros((1, 64, 32, 3)), jnp.zeros((1, 2), int)
    network = mae.MaskedAutoencoder(**SMALL, mask_patch=16, heatmaps=5)
    predicted, variables = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), images, visible))
    assert predicted.shape == (1, 8, 4 * 4 * 5)
    assert variables["params"]["decoder"]["heatmaps"]["kernel"].shape == (32, 80)


def test_the_loss_equals_one_computed_by_hand():
    images = np.zeros((1, 32, 96, 3), np.float32)
    # Normalised, this patch is 1 in its upper half and −1 in its lower half.
    images[0, :, 32:64] = np.where(np.arange(32)[:, None, None] < 16, 7, 3)
    images[0, :, 64:] = np.random.default_rng(0).random((32, 32, 3))
    predicted = np.zeros((1, 3, 32 * 32 * 3), np.float32)
    predicted[0, 1] = 2
    predicted[0, 2] = np.nan  # The prediction of a visible patch is not part of the loss.
    loss = mae.masked_mse(jnp.nan_to_num(predicted, nan=1e6), mae.pixel_targets(images), jnp.array([[2]]))
    np.testing.assert_allclose(loss, (0 + (1 + 9) / 2) / 2, rtol=1e-4)
