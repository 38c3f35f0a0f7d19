"""Units of pixels: cut and joined, kept and put back, and which tokens are neighbours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.networks import mask_patches

ROWS, COLUMNS = 3, 2
KEPT = jnp.array([[4, 1, 0], [5, 2, 3]])


def numbered(side: int) -> np.ndarray:
    """[2, H, W, 1] of which no two are alike, none is 0."""
    shape = (2, ROWS * side, COLUMNS * side, 1)
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_units_come_in_the_order_of_reading_and_join_again():
    image = numbered(2)
    cut = mask_patches.split_patches(image, 2)
    assert cut.shape == (2, 6, 2, 2, 1)
    np.testing.assert_array_equal(cut[0, 3, :, :, 0], [[11, 12], [15, 16]])  # second row, second column
    np.testing.assert_array_equal(mask_patches.join_patches(cut, ROWS), image)


def test_kept_units_are_there_and_the_others_zero():
    image = numbered(2)
    grid = mask_patches.VisiblePatches(KEPT, ROWS, COLUMNS)
    strip = grid.take(image)
    assert strip.shape == (2, 6, 2, 1)
    np.testing.assert_array_equal(strip[1, :2, :, 0], image[1, 4:6, 2:, 0])  # unit 5 is first
    again = grid.put(strip)
    np.testing.assert_array_equal(again[0, :2], image[0, :2])  # units 0 and 1
    np.testing.assert_array_equal(again[0, 4:, :2], image[0, 4:, :2])  # unit 4
    assert np.count_nonzero(again) == 2 * 3 * 4


@pytest.mark.parametrize("halo", [1, 3])
def test_windows_are_units_and_what_is_kept_around_them(halo):
    side = 4
    grid = mask_patches.VisiblePatches(KEPT, ROWS, COLUMNS)
    strip = grid.take(numbered(side))
    whole = np.pad(grid.put(strip)[..., 0], ((0, 0), (halo, halo), (halo, halo)))
    windows = np.asarray(grid.windows(strip, halo)).reshape(*KEPT.shape, side + 2 * halo, side + 2 * halo)
    for b, v in np.ndindex(KEPT.shape):
        top, left = side * (int(KEPT[b, v]) // COLUMNS), side * (int(KEPT[b, v]) % COLUMNS)
        expected = whole[b, top : top + side + 2 * halo, left : left + side + 2 * halo]
        np.testing.assert_array_equal(windows[b, v], expected)


def test_neighbours_are_those_of_the_grid():
    for side in (1, 2):
        grid = mask_patches.VisiblePatches(KEPT, ROWS, COLUMNS)
        strip = grid.take(numbered(side))
        whole = np.pad(grid.put(strip)[..., 0], ((0, 0), (1, 1), (1, 1)))
        near = grid.neighbours(side)
        flat = np.append(np.asarray(strip).reshape(2, -1), np.zeros((2, 1)), axis=1)
        for b, row, column in np.ndindex(strip.shape[:3]):
            y, x = np.argwhere(whole[b] == strip[b, row, column, 0])[0]
            inside = row % side
            around = near[b, row // side, inside : inside + 3, column : column + 3]
            found = flat[b, np.minimum(around, flat.shape[1] - 1)]
            np.testing.assert_array_equal(found, whole[b, y - 1 : y + 2, x - 1 : x + 2])


def test_drawn_units_differ_within_an_image_and_between_images():
    kept = np.asarray(mask_patches.draw_visible(jax.random.key(0), 64, 12, 5))
    assert kept.shape == (64, 5)
    assert all(len(set(row)) == 5 for row in kept)
    np.testing.assert_array_equal(np.unique(kept), np.arange(12))
    assert len({tuple(sorted(row)) for row in kept}) > 32
    counts = np.bincount(kept.ravel(), minlength=12)
    assert (np.abs(counts - 64 * 5 / 12) < 16).all()  # more than four standard deviations


def test_positions_tell_rows_and_columns_apart():
    positions = mask_patches.sine_positions(8, 6, 64)
    assert positions.shape == (48, 64)
    assert len(np.unique(positions.round(4), axis=0)) == 48
    by_place = positions.reshape(8, 6, 64)
    np.testing.assert_array_equal(by_place[:, 0, :32], by_place[:, 5, :32])  # one half knows the row only
    np.testing.assert_array_equal(by_place[0, :, 32:], by_place[7, :, 32:])
    np.testing.assert_allclose(by_place[3, 0, [0, 16]], [np.sin(3), np.cos(3)], rtol=1e-6)


@pytest.mark.parametrize(("size", "kernel_size", "stride"), [(38, 7, 4), (10, 3, 2), (3, 3, 2)])
def test_convolve_windows_on_every_platform(size, kernel_size, stride):
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((4, size, size, 3)).astype(np.float32)
    kernel = rng.standard_normal((kernel_size, kernel_size, 3, 5)).astype(np.float32)
    y, vjp = jax.vjp(lambda w, k: mask_patches.convolve_windows(w, k, stride), windows, kernel)
    expected, vjp_ = jax.vjp(lambda w, k: mask_patches._convolution(w, k, stride), windows, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(vjp(y), vjp_(y), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
    last = stride * (y.shape[1] - 1)
    patch = windows[-1, last : last + kernel_size, last : last + kernel_size]
    np.testing.assert_allclose(y[-1, -1, -1], np.einsum("ijc,ijcd->d", patch, kernel), rtol=1e-4, atol=1e-4)
