"""Tests of mask patches: splitting and joining images, stacking visible patches, and the neighbours of their tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.networks import mask_patches, ops

ROWS, COLUMNS = 3, 2
VISIBLE = jnp.array([[4, 1, 0], [5, 2, 3]])


def numbered(side: int) -> np.ndarray:
    """Returns a map [2, H, W, 1] of distinct nonzero numbers, for patches with `side` tokens on a side."""
    shape = (2, ROWS * side, COLUMNS * side, 1)
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_patches_are_numbered_row_by_row_and_can_be_joined():
    image = numbered(2)
    patches = mask_patches.split_patches(image, 2)
    assert patches.shape == (2, 6, 2, 2, 1)
    np.testing.assert_array_equal(patches[0, 3, :, :, 0], [[11, 12], [15, 16]])  # second row, second column
    np.testing.assert_array_equal(mask_patches.join_patches(patches, ROWS), image)


def test_the_full_map_of_stacked_patches_is_zero_at_masked_patches():
    image = numbered(2)
    grid = mask_patches.VisiblePatches(VISIBLE, ROWS, COLUMNS)
    stacked = grid.take(image)
    assert stacked.shape == (2, 6, 2, 1)
    np.testing.assert_array_equal(stacked[1, :2, :, 0], image[1, 4:6, 2:, 0])  # Patch 5 is first.
    full = grid.put(stacked)
    np.testing.assert_array_equal(full[0, :2], image[0, :2])  # patches 0 and 1
    np.testing.assert_array_equal(full[0, 4:, :2], image[0, 4:, :2])  # patch 4
    assert np.count_nonzero(full) == 2 * 3 * 4


@pytest.mark.parametrize("halo", [1, 3])
def test_windows_contain_patches_with_their_visible_surroundings(halo):
    side = 4
    grid = mask_patches.VisiblePatches(VISIBLE, ROWS, COLUMNS)
    stacked = grid.take(numbered(side))
    full = np.pad(grid.put(stacked)[..., 0], ((0, 0), (halo, halo), (halo, halo)))
    windows = np.asarray(grid.windows(stacked, halo)).reshape(*VISIBLE.shape, side + 2 * halo, side + 2 * halo)
    for b, v in np.ndindex(VISIBLE.shape):
        top, left = side * (int(VISIBLE[b, v]) // COLUMNS), side * (int(VISIBLE[b, v]) % COLUMNS)
        expected = full[b, top : top + side + 2 * halo, left : left + side + 2 * halo]
        np.testing.assert_array_equal(windows[b, v], expected)


def test_neighbours_in_the_stack_are_those_in_the_full_map():
    for side in (1, 2):
        grid = mask_patches.VisiblePatches(VISIBLE, ROWS, COLUMNS)
        stacked = grid.take(numbered(side))
        full = np.pad(grid.put(stacked)[..., 0], ((0, 0), (1, 1), (1, 1)))
        neighbours = grid.neighbours(side)
        flat = np.append(np.asarray(stacked).reshape(2, -1), np.zeros((2, 1)), axis=1)
        for b, row, column in np.ndindex(stacked.shape[:3]):
            y, x = np.argwhere(full[b] == stacked[b, row, column, 0])[0]
            inside = row % side
            indices = neighbours[b, row // side, inside : inside + 3, column : column + 3]
            found = flat[b, np.minimum(indices, flat.shape[1] - 1)]
            np.testing.assert_array_equal(found, full[b, y - 1 : y + 2, x - 1 : x + 2])


# 4×4 patches of 16×16 pixels: one visible patch in the upper left key, two in the lower right key.
SMALL_PATCHES = np.zeros((1, 4, 4), bool)
SMALL_PATCHES[0, 1, 0] = SMALL_PATCHES[0, 2, 2] = SMALL_PATCHES[0, 3, 3] = True


def test_tokens_are_visible_in_a_visible_patch_or_around_one():
    grid = mask_patches.MaskedFullEncode(jnp.asarray(SMALL_PATCHES), 16)
    np.testing.assert_array_equal(grid.visible_tokens(2), [[[True, False], [False, True]]])
    np.testing.assert_array_equal(grid.visible_tokens(4), SMALL_PATCHES)
    np.testing.assert_array_equal(grid.visible_tokens(8), SMALL_PATCHES.repeat(2, 1).repeat(2, 2))


def test_keys_of_small_patches_contain_their_visible_tokens_only():
    grid = mask_patches.MaskedFullEncode(jnp.asarray(SMALL_PATCHES), 16)
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
    kernel = np.ones((4, 4, 3, 1), np.float32)
    keys = grid.reduce(lambda y: ops.reduce_windows(y, kernel), x)
    np.testing.assert_allclose(keys[0, 0, 0], x[0, 2:4, 0:2].sum(keepdims=True).ravel(), rtol=1e-5)
    np.testing.assert_allclose(keys[0, 1, 1], [x[0, 4:6, 4:6].sum() + x[0, 6:, 6:].sum()], rtol=1e-5)
    scores = grid.mask_scores(jnp.zeros((1, 2, 5, 4)))
    np.testing.assert_array_equal(scores[0, 1, 4], [0, -np.inf, -np.inf, 0])


def test_drawn_patches_differ_within_an_image_and_between_images():
    visible = np.asarray(mask_patches.draw_visible(jax.random.key(0), 64, 12, 5))
    assert visible.shape == (64, 5)
    assert all(len(set(row)) == 5 for row in visible)
    np.testing.assert_array_equal(np.unique(visible), np.arange(12))
    assert len({tuple(sorted(row)) for row in visible}) > 32
    counts = np.bincount(visible.ravel(), minlength=12)
    assert (np.abs(counts - 64 * 5 / 12) < 16).all()  # more than four standard deviations


def test_position_embeddings_are_distinct_and_encode_rows_and_columns_separately():
    positions = mask_patches.sine_positions(8, 6, 64)
    assert positions.shape == (48, 64)
    assert len(np.unique(positions.round(4), axis=0)) == 48
    grid = positions.reshape(8, 6, 64)
    np.testing.assert_array_equal(grid[:, 0, :32], grid[:, 5, :32])  # The first half depends on the row only.
    np.testing.assert_array_equal(grid[0, :, 32:], grid[7, :, 32:])
    np.testing.assert_allclose(grid[3, 0, [0, 16]], [np.sin(3), np.cos(3)], rtol=1e-6)


@pytest.mark.parametrize(("size", "kernel_size", "stride"), [(38, 7, 4), (10, 3, 2), (3, 3, 2)])
def test_convolve_windows_equals_a_convolution(size, kernel_size, stride):
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((4, size, size, 3)).astype(np.float32)
    kernel = rng.standard_normal((kernel_size, kernel_size, 3, 5)).astype(np.float32)
    y, vjp = jax.vjp(lambda w, k: mask_patches.convolve_windows(w, k, stride), windows, kernel)
    expected, expected_vjp = jax.vjp(lambda w, k: mask_patches._convolution(w, k, stride), windows, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    for actual, desired in zip(vjp(y), expected_vjp(y), strict=True):
        np.testing.assert_allclose(actual, desired, rtol=1e-4, atol=1e-4 * np.abs(desired).max())
    last = stride * (y.shape[1] - 1)
    corner = windows[-1, last : last + kernel_size, last : last + kernel_size]
    np.testing.assert_allclose(y[-1, -1, -1], np.einsum("ijc,ijcd->d", corner, kernel), rtol=1e-4, atol=1e-4)
