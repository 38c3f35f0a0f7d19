"""The masked autoencoder: the gathered form against the dense one, and what it may not see."""

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


def make(dense: bool, dtype=jnp.float32) -> mae.MaskedAutoencoder:
    return mae.MaskedAutoencoder(**SMALL, dense=dense, dtype=dtype)


def inputs(dtype=np.float32):
    """Parameters, all of them random, so that no bias hides a leak; images; kept units."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 32 * ROWS, 32 * COLUMNS, 3)).astype(dtype)
    kept = jnp.array([[4, 1, 0], [5, 2, 3]])
    shapes = jax.eval_shape(make(False, dtype).init, jax.random.key(0), images, kept)["params"]
    return jax.tree.map(lambda leaf: (0.3 * rng.standard_normal(leaf.shape)).astype(dtype), shapes), images, kept


def encode(params, images, kept, dense, dtype=jnp.float32):
    """The four levels."""
    encoder = functools.partial(
        mit.MixTransformer(SMALL["widths"], SMALL["depths"], 0.0, dtype=dtype).apply, {"params": params["encoder"]}
    )
    return mae.encode_visible(encoder, images, kept, False, dense)


@functools.partial(jax.jit, static_argnames="dense")
def run(params, images, kept, dense):
    """The four levels, the loss, and the gradients of a random sum of all predictions for parameters and pixels."""

    def predict(params, images):
        return make(dense).apply({"params": params}, images, kept)

    predicted, vjp = jax.vjp(predict, params, images)
    loss = mae.masked_loss(predicted, images, kept)
    weights = jax.random.normal(jax.random.key(1), predicted.shape)
    return encode(params, images, kept, dense), loss, *vjp(weights)


@pytest.fixture(scope="module")
def both():
    arguments = inputs()
    return {dense: run(*arguments, dense=dense) for dense in (False, True)}


def test_the_gathered_form_is_the_dense_one(both):
    (levels, loss, gradients, _), (levels_, loss_, gradients_, _) = both[False], both[True]
    assert [level.shape for level in levels] == [(2, 3, s, s, c) for s, c in ((8, 4), (4, 8), (2, 10), (1, 16))]
    for ours, expected in zip(levels, levels_, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_allclose(loss, loss_, atol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradients_))
    for (path, ours), expected in zip(
        jax.tree_util.tree_leaves_with_path(gradients), jax.tree.leaves(gradients_), strict=True
    ):
        tolerance = 1e-4 * np.abs(expected).max() + 1e-7 * largest  # biases of keys have no gradient but rounding
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance, err_msg=str(path))


def test_in_double_precision_both_forms_are_one_function():
    @functools.partial(jax.jit, static_argnames="dense")
    def forward(params, images, kept, dense):
        predicted = make(dense, jnp.float64).apply({"params": params}, images, kept)
        return encode(params, images, kept, dense, jnp.float64), mae.masked_loss(predicted, images, kept)

    with jax.enable_x64(True):
        arguments = inputs(np.float64)
        results = [forward(*arguments, dense=dense) for dense in (False, True)]
    for ours, expected in zip(*map(jax.tree.leaves, results), strict=True):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, expected, atol=1e-10)


@pytest.mark.parametrize("dense", [False, True])
def test_no_prediction_knows_a_masked_pixel(both, dense):
    gradient = mask_patches.split_patches(both[dense][3])
    kept = np.asarray(inputs()[2])
    for image in range(2):
        masked = sorted(set(range(ROWS * COLUMNS)) - set(kept[image].tolist()))
        assert np.abs(gradient[image, masked]).max() == 0
        assert (np.abs(gradient[image, kept[image]]).reshape(VISIBLE, -1).max(1) > 0).all()


def nearest_instead_of_none(grid, x, kernel, bias):
    places = jnp.minimum(grid.neighbours(x.shape[2]), x.shape[1] * x.shape[2] - 1)
    return mask_patches._strip_depthwise_gelu(x, kernel, bias, places)


def ones_instead_of_zeros(grid, x):
    b, _, s, c = x.shape
    background = jnp.ones((grid.rows * grid.columns, s, s, c))
    return mask_patches.join_patches(mask_patches.scatter(x.reshape(b, -1, s, s, c), grid.kept, background), grid.rows)


REMOVED = {  # what takes one mask out of the code: form, class, method, substitute
    "embeddings of the dense form": (True, mask_patches.MaskedFullEncode, "convolve", mit.Grid.convolve),
    "depthwise convolutions of the dense form": (
        True,
        mask_patches.MaskedFullEncode,
        "depthwise_gelu",
        mit.Grid.depthwise_gelu,
    ),
    "keys of the dense form": (True, mask_patches.MaskedFullEncode, "hide", mit.Grid.hide),
    "embeddings of the gathered form": (False, mask_patches.VisiblePatches, "put", ones_instead_of_zeros),
    "neighbours of the gathered form": (False, mask_patches.VisiblePatches, "depthwise_gelu", nearest_instead_of_none),
}


@pytest.mark.parametrize("name", REMOVED)
def test_without_one_of_the_masks_the_forms_differ(both, monkeypatch, name):
    dense, place, attribute, substitute = REMOVED[name]
    monkeypatch.setattr(place, attribute, substitute)
    broken = jax.jit(functools.partial(encode, dense=dense))(*inputs())
    assert max(np.abs(a - b).max() for a, b in zip(broken, both[not dense][0], strict=True)) > 1e-3


def test_the_encoder_is_a_mix_transformer():
    name = "b0"
    ours = jax.eval_shape(
        lambda: networks.build(f"mae_{name}").init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 2), int))
    )["params"]["encoder"]
    plain = mit.MixTransformer(*mit.VARIANTS[name])
    expected = jax.eval_shape(lambda: plain.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))["params"]
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, expected)


def test_the_loss_by_hand():
    images = np.zeros((1, 32, 96, 3), np.float32)
    images[0, :, 32:64] = np.where(np.arange(32)[:, None, None] < 16, 7, 3)  # normalised: 1 above, -1 below
    images[0, :, 64:] = np.random.default_rng(0).random((32, 32, 3))
    predicted = np.zeros((1, 3, 32 * 32 * 3), np.float32)
    predicted[0, 1] = 2
    predicted[0, 2] = np.nan  # of a kept unit; never looked at
    loss = mae.masked_loss(jnp.nan_to_num(predicted, nan=1e6), images, jnp.array([[2]]))
    np.testing.assert_allclose(loss, (0 + (1 + 9) / 2) / 2, rtol=1e-4)
