"""Tests of encoding keypoints as heatmaps and decoding heatmaps."""

import functools
import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.pose import codec, geometry
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import COCO_17

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
SIZES = [(256, 192), (384, 288)]


@functools.partial(jax.jit, static_argnums=0)
def encode(codec_: Codec, keypoints, weight):
    return codec_.encode(keypoints, weight)


@functools.partial(jax.jit, static_argnums=0)
def decode(codec_: Codec, heatmaps):
    return codec_.decode(heatmaps)


@pytest.fixture(scope="module")
def reference() -> dict:
    with np.load(REFERENCE / "pipeline_coco_mini.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def heatmaps(reference) -> np.ndarray:
    return reference["decode_heatmaps"].astype(np.float32).transpose(0, 2, 3, 1)


def test_targets_equal_the_reference(reference):
    codec_ = Codec((256, 192))
    labelled = (reference["joints_heatmap"] != 0).any(-1).astype(np.float32)
    # The scale of the heatmap transform is 47 / 191 of the crop transform's, about the centres.
    points = (reference["joints_heatmap"] - [23.5, 31.5]) * (191 / 47) + [95.5, 127.5]
    targets, weight = encode(codec_, points.astype(np.float32), labelled)
    np.testing.assert_array_equal(weight, reference["target_weight"])
    expected = reference["target"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(targets[: len(expected)], expected, atol=1e-4)


def test_argmax_and_scores_equal_the_reference(reference, heatmaps):
    peaks, scores = codec.argmax(heatmaps)
    np.testing.assert_array_equal(peaks, reference["decode_argmax"])
    np.testing.assert_array_equal(scores, reference["decode_scores"])


def test_dark_keypoints_equal_the_reference(reference, heatmaps):
    points, scores = decode(Codec((256, 192)), heatmaps)
    np.testing.assert_array_equal(scores, reference["decode_scores"])
    for i, expected in enumerate(reference["decode_keypoints"]):
        size = reference["decode_scale"][i] * 200
        to_crop = geometry.crop_transform(reference["decode_center"][i], size, (256, 192))
        decoded = geometry.apply(geometry.invert(to_crop), np.asarray(points[i], np.float64))
        np.testing.assert_allclose(decoded, expected, atol=0.01)


def test_flip_back_equals_the_reference(reference, heatmaps):
    flipped = codec.flip_back(heatmaps[:1], COCO_17.flip_permutation)
    np.testing.assert_array_equal(flipped.transpose(0, 3, 1, 2), reference["flip_back"].astype(np.float32))


def test_flip_back_mirrors_and_exchanges_left_and_right():
    heatmaps = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    flipped = codec.flip_back(heatmaps, np.array([1, 0]))
    np.testing.assert_array_equal(flipped[0, :, :, 0], [[5, 3, 1], [11, 9, 7]])
    np.testing.assert_array_equal(flipped[0, :, :, 1], [[4, 2, 0], [10, 8, 6]])


@pytest.mark.parametrize("convention", geometry.CONVENTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_decoding_inverts_encoding(size, convention):
    codec_ = Codec(size, sigma=2.0 if size == (256, 192) else 3.0, convention=convention)
    rng = np.random.default_rng(0)
    points = rng.uniform(24, np.array(size[::-1]) - 25, (4, 17, 2)).astype(np.float32)
    targets, _ = encode(codec_, points, np.ones((4, 17), np.float32))
    assert targets.shape == (4, size[0] // 4, size[1] // 4, 17)
    decoded, scores = decode(codec_, targets)
    np.testing.assert_allclose(decoded, points, atol=0.02)
    assert ((scores > 0.85) & (scores <= 1)).all()


@pytest.mark.parametrize("convention", geometry.CONVENTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_to_heatmap_equals_the_heatmap_transform(size, convention):
    codec_ = Codec(size, convention=convention)
    region = [210.0, 130.0], [150.0, 200.0]
    crop, heatmap = (geometry.crop_transform(*region, s, convention=convention) for s in (size, codec_.heatmap_size))
    image_points = np.array([[210.0, 130.0], [150.0, 60.0], [300.0, 199.5]])
    heatmap_points = codec_.to_heatmap(geometry.apply(crop, image_points))
    np.testing.assert_allclose(heatmap_points, geometry.apply(heatmap, image_points), atol=1e-4)
    np.testing.assert_allclose(codec_.to_input(heatmap_points), geometry.apply(crop, image_points), atol=1e-3)


def from_heatmap_pixels(codec_: Codec, *points) -> np.ndarray:
    """Returns heatmap points converted to input pixels [1, K, 2]."""
    return np.asarray(codec_.to_input(np.array([points], np.float32)))


def test_target_equals_a_gaussian():
    codec_ = Codec((64, 64), sigma=1.5)
    targets, weight = encode(codec_, from_heatmap_pixels(codec_, (4.5, 7)), np.float32([[1]]))
    assert targets.shape == (1, 16, 16, 1)
    for x, y in ((4, 7), (5, 7), (6, 9), (15, 0)):
        expected = np.exp(-((x - 4.5) ** 2 + (y - 7) ** 2) / (2 * 1.5**2))
        assert float(targets[0, y, x, 0]) == pytest.approx(expected, rel=1e-4)
    assert weight.tolist() == [[1]]


def test_unlabelled_and_far_outside_points_have_weight_0():
    codec_ = Codec((64, 128), sigma=2.0)  # heatmaps of 16 × 32: points in -8 < x < 38 and -8 < y < 22 have a weight
    points = [(-7.9, 5), (-8.1, 5), (37.9, 5), (38.1, 5), (5, -7.9), (5, -8.1), (5, 21.9), (5, 22.1), (5, 5)]
    labelled = np.float32([[1] * 8 + [0]])
    targets, weight = encode(codec_, from_heatmap_pixels(codec_, *points), labelled)
    assert weight.tolist() == [[1, 0, 1, 0, 1, 0, 1, 0, 0]]
    assert [bool(targets[..., k].any()) for k in range(9)] == [bool(w) for w in weight[0]]


def test_a_weight_does_not_scale_its_target():
    codec_ = Codec((64, 64))
    targets, weight = encode(codec_, from_heatmap_pixels(codec_, (8, 8), (8, 8)), np.float32([[0.5, 1]]))
    assert weight.tolist() == [[0.5, 1]]
    np.testing.assert_array_equal(targets[..., 0], targets[..., 1])


def peak_heatmap(x: int, y: int, neighbours: dict | None = None, size=(16, 16)) -> np.ndarray:
    """Returns a heatmap [1, h, w, 1] with a peak of 1, given values at neighbours (dx, dy), and 0.1 elsewhere."""
    heatmap = np.full(size, 0.1, np.float32)
    heatmap[y, x] = 1
    for (dx, dy), value in (neighbours or {}).items():
        heatmap[y + dy, x + dx] = value
    return heatmap[None, :, :, None]


@pytest.mark.parametrize(
    ("peak", "neighbours", "offset"),
    [
        ((6, 7), {(1, 0): 0.5, (0, -1): 0.4}, (0.25, -0.25)),
        ((6, 7), {(-1, 0): 0.5}, (-0.25, 0)),
        ((6, 7), {}, (0, 0)),
        ((2, 13), {(1, 0): 0.5, (0, 1): 0.5}, (0.25, 0.25)),
        ((1, 7), {(1, 0): 0.5}, (0, 0)),  # too close to the border
        ((14, 14), {(1, 0): 0.5}, (0.25, 0)),
        ((6, 15), {(1, 0): 0.5}, (0, 0)),
        ((15, 15), {(-1, 0): 0.5}, (0, 0)),
    ],
)
def test_quarter_decoder_moves_towards_the_higher_neighbour(peak, neighbours, offset):
    codec_ = Codec((64, 64), decoder="quarter")
    points, scores = decode(codec_, peak_heatmap(*peak, neighbours))
    np.testing.assert_allclose(points, from_heatmap_pixels(codec_, np.add(peak, offset)), atol=1e-4)
    assert scores.tolist() == [[1]]


@pytest.mark.parametrize(
    ("peak", "offset"), [((1, 7), (0, 0.25)), ((6, 0), (0, 0)), ((6, 15), (0.25, 0)), ((15, 6), (0, 0.25))]
)
def test_quarter_decoder_of_each_axis_moves_along_a_border(peak, offset):
    codec_ = Codec((64, 64), decoder="quarter_each_axis")
    neighbours = {(1, 0): 0.5, (0, 1): 0.5}
    inside = {step: value for step, value in neighbours.items() if max(np.add(peak, step)) < 16}
    points, _ = decode(codec_, peak_heatmap(*peak, inside))
    np.testing.assert_allclose(points, from_heatmap_pixels(codec_, np.add(peak, offset)), atol=1e-4)


def test_rounded_targets_are_centred_at_pixels_and_cut_off():
    codec_ = Codec((64, 64), sigma=1.0, convention="hrnet", rounded=True)
    targets, weight = codec_.encode(jnp.array([[[21.9, 38.1], [2.0, -2.1]]]), jnp.ones((1, 2)))
    # The points are at (5.475, 9.525) and (0.5, -0.525) in heatmap pixels.
    assert weight.tolist() == [[1, 1]]
    first, second = np.moveaxis(np.asarray(targets)[0], -1, 0)
    assert np.argwhere(first == 1).tolist() == [[10, 5]]
    np.testing.assert_allclose(first[10, 1:10], [0, *np.exp(-0.5 * np.arange(-3, 4) ** 2), 0], rtol=1e-6)
    assert first[6].max() == 0 < first[7].max()
    np.testing.assert_allclose(second[:4, 1], [*np.exp(-0.5 * np.arange(1, 4) ** 2), 0], rtol=1e-6)


def test_argmax_decoder_returns_the_peak_pixel():
    codec_ = Codec((64, 64), decoder="argmax")
    points, _ = decode(codec_, peak_heatmap(6, 7, {(1, 0): 0.9}))
    np.testing.assert_allclose(points, [[[(6 - 7.5) * 63 / 15 + 31.5, (7 - 7.5) * 63 / 15 + 31.5]]], rtol=1e-5)


@pytest.mark.parametrize("decoder", ["dark", "quarter", "argmax"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_heatmaps_without_positive_values_decode_to_the_origin(decoder, value):
    codec_ = Codec((64, 64), decoder=decoder)
    heatmaps = np.full((1, 16, 16, 1), value - 1, np.float32)
    heatmaps[0, 9, 5] = value
    points, scores = decode(codec_, heatmaps)
    np.testing.assert_allclose(points, from_heatmap_pixels(codec_, (0, 0)), atol=1e-5)
    assert scores.tolist() == [[value]]


@pytest.mark.parametrize("peak", [(0, 0), (1, 8), (8, 1), (15, 8), (14, 8), (8, 14), (15, 15)])
def test_dark_does_not_move_peaks_at_the_border(peak):
    codec_ = Codec((64, 64))
    points, _ = decode(codec_, peak_heatmap(*peak, {}))
    np.testing.assert_allclose(points, from_heatmap_pixels(codec_, peak), atol=1e-4)


@pytest.mark.parametrize("peak", [(2, 8), (13, 8), (8, 2), (8, 13)])
def test_dark_moves_peaks_two_pixels_from_the_border(peak):
    codec_ = Codec((64, 64))
    neighbour = (1, 1)
    points, _ = decode(codec_, peak_heatmap(*peak, {neighbour: 0.9}))
    assert np.abs(points - from_heatmap_pixels(codec_, peak)).max() > 0.1


def numpy_dark(heatmap: np.ndarray, kernel: int, sigma: float) -> np.ndarray:
    """Decodes one heatmap [h, w] by DARK in float64, with OpenCV's blur on a map padded with zeros."""
    border = kernel // 2
    padded = cv2.copyMakeBorder(heatmap.astype(np.float64), *[border] * 4, cv2.BORDER_CONSTANT, value=0)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), sigma)[border:-border, border:-border]
    f = np.log(np.maximum(blurred * heatmap.max() / blurred.max(), 1e-10))
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    gradient = [(f[y, x + 1] - f[y, x - 1]) / 2, (f[y + 1, x] - f[y - 1, x]) / 2]
    xx, yy = (f[y, x + 2] - 2 * f[y, x] + f[y, x - 2]) / 4, (f[y + 2, x] - 2 * f[y, x] + f[y - 2, x]) / 4
    xy = (f[y + 1, x + 1] - f[y - 1, x + 1] - f[y + 1, x - 1] + f[y - 1, x - 1]) / 4
    return np.array([x, y]) - np.linalg.solve([[xx, xy], [xy, yy]], gradient)


@pytest.mark.parametrize(("kernel", "sigma", "height"), [(11, 2.0, 0.7), (17, 2.9, 0.7), (11, 2.0, 1.7e-10)])
def test_dark_equals_numpy_implementation(kernel, sigma, height):
    # The last height is so low that the floor of the logarithm affects the result.
    rng = np.random.default_rng(1)
    codec_ = Codec((96, 64), blur_kernel=kernel, blur_sigma=sigma)
    points = rng.uniform((3, 3), (12, 20), (6, 2)).astype(np.float32)
    targets, _ = encode(codec_, np.asarray(codec_.to_input(points))[None], np.ones((1, 6), np.float32))
    heatmaps = np.float32(height) * (targets + 0.05 * rng.random(targets.shape, np.float32))
    decoded, _ = decode(codec_, heatmaps)
    expected = [numpy_dark(np.asarray(heatmaps[0, :, :, k]), kernel, sigma) for k in range(6)]
    np.testing.assert_allclose(codec_.to_heatmap(decoded[0]), expected, atol=2e-3)


@pytest.mark.parametrize(("size", "kernel", "sigma"), [(24, 11, 2.0), (8, 17, 2.9), (16, 3, 0.8)])
def test_blur_matrix_is_a_gaussian_blur_with_zero_padding(size, kernel, sigma):
    signal = np.random.default_rng(0).random((size, 1)).astype(np.float32)
    border = kernel // 2
    padded = cv2.copyMakeBorder(signal, border, border, 0, 0, cv2.BORDER_CONSTANT, value=0)
    expected = cv2.sepFilter2D(padded, -1, np.ones(1), cv2.getGaussianKernel(kernel, sigma))[border:-border]
    np.testing.assert_allclose(codec.blur_matrix(size, kernel, sigma) @ signal, expected, atol=1e-6)


@pytest.mark.parametrize("decoder", ["dark", "quarter"])
def test_decoding_a_batch_equals_decoding_its_examples(decoder, heatmaps):
    codec_ = Codec((256, 192), decoder=decoder)
    points, scores = decode(codec_, heatmaps[:3])
    for i in range(3):
        single, score = decode(codec_, heatmaps[i : i + 1])
        np.testing.assert_allclose(points[i], single[0], atol=1e-3)
        np.testing.assert_array_equal(scores[i], score[0])


def test_constant_heatmaps_decode_to_finite_points():
    points, _ = decode(Codec((64, 64)), jnp.ones((1, 16, 16, 2)))
    assert np.isfinite(points).all()
