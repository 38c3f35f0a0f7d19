"""Tests of the protocols against reference crops, heatmaps and keypoints computed by the published definitions."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from reference import REFERENCE

from aggpose_jax.config import flat_keys
from aggpose_jax.pose import geometry
from aggpose_jax.pose.codec import Codec, flip_back
from aggpose_jax.pose.keypoints import COCO_17
from aggpose_jax.pose.protocol import AGGPOSE, HRNET, PROTOCOLS, find_protocol

INPUT_SIZE = (256, 192)
REFERENCE_CODEC = {"input_size": (128, 96)}  # The heatmaps of the reference are 32 × 24.


@pytest.fixture(scope="module")
def reference():
    return np.load(REFERENCE / "ref_protocol.npz")


def mean_heatmaps(reference, shifted: bool):
    """Returns the reference's heatmaps [2, 32, 24, 17], averaged over the crops and their mirror images."""
    plain, mirrored = (
        jnp.asarray(reference[name].transpose(0, 2, 3, 1)) for name in ("heatmaps", "heatmaps_of_mirrored")
    )
    return (plain + flip_back(mirrored, COCO_17.flip_permutation, shifted)) / 2


def decode(reference, protocol):
    """Returns the points decoded by a protocol, in heatmap pixels, and the scores."""
    codec = Codec(**REFERENCE_CODEC, decoder=protocol.decoder, convention=protocol.convention, nothing=protocol.nothing)
    points, scores = codec.decode(mean_heatmaps(reference, protocol.shifted_flip))
    return np.asarray(codec.to_heatmap(points)), np.asarray(scores)


def to_image(points, centers, sizes, convention):
    """Returns points [2, K, 2] of heatmaps of 32 × 24 in image pixels, for two regions without rotation."""
    transforms = [
        geometry.invert(geometry.crop_transform(center, size, (32, 24), convention=convention))
        for center, size in zip(centers, sizes, strict=True)
    ]
    return np.stack([geometry.apply(transform, point) for transform, point in zip(transforms, points, strict=True)])


@pytest.mark.parametrize(("protocol", "name"), [("hrnet", "quarter"), ("mmpose", "quarter_each_axis")])
def test_points_of_the_shifted_mean_equal_the_reference(reference, protocol, name):
    points, scores = decode(reference, PROTOCOLS[protocol])
    found = scores > 0
    np.testing.assert_allclose(points[found], reference[name][found], atol=1e-4)
    np.testing.assert_allclose(scores, reference["scores"][..., 0], rtol=1e-5, atol=1e-7)
    assert (~found).sum() == 1
    np.testing.assert_allclose(points[~found], PROTOCOLS[protocol].nothing, atol=1e-5)


def test_the_protocols_decode_some_reference_points_differently(reference):
    quarter, each_axis = reference["quarter"], reference["quarter_each_axis"]
    assert np.abs(quarter - each_axis).max() == 0.25
    plain = decode(reference, dataclasses.replace(HRNET, shifted_flip=False))[0]
    assert np.abs(plain - decode(reference, HRNET)[0]).max() > 0.2


def test_keypoints_in_the_image_equal_the_reference(reference):
    old = decode(reference, HRNET)[0]
    regions = reference["center_old"], 200 * reference["scale_old"]
    np.testing.assert_allclose(to_image(old, *regions, "hrnet"), reference["keypoints_old"], atol=2e-3)
    dark, scores = decode(reference, PROTOCOLS["transpose"])
    regions = reference["center_unbiased"], 200 * reference["scale_unbiased"]
    np.testing.assert_allclose(to_image(dark, *regions, "unbiased"), reference["keypoints_dark"], atol=5e-3)
    np.testing.assert_allclose(scores, reference["scores_unshifted"][..., 0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("pixel_center", "name"), [(False, "old"), (True, "unbiased")])
def test_regions_of_boxes_equal_the_reference(reference, pixel_center, name):
    center, size = geometry.crop_region(reference["boxes"], 0.75, pixel_center=pixel_center)
    np.testing.assert_allclose(center, reference[f"center_{name}"], rtol=1e-6)
    np.testing.assert_allclose(size / 200, reference[f"scale_{name}"], rtol=1e-6)


def test_transforms_of_the_hrnet_convention_equal_the_reference(reference):
    for row, rotation in enumerate(reference["rotation"]):
        region = reference["center_old"][row], 200 * reference["scale_old"][row].astype(np.float64)
        image = geometry.crop_transform(*region, INPUT_SIZE, rotation, "hrnet")
        np.testing.assert_allclose(image, reference["affine_old_image"][row], rtol=1e-4, atol=1e-4)
        heatmap = geometry.crop_transform(*region, (32, 24), convention="hrnet")
        inverse = reference["affine_old_heatmap_inverse"][row]
        np.testing.assert_allclose(geometry.invert(heatmap), inverse, rtol=1e-4, atol=1e-4)


def test_every_protocol_can_be_configured():
    assert flat_keys()["protocol"].choices == tuple(PROTOCOLS)
    assert find_protocol("aggpose") == AGGPOSE
    changed = find_protocol("simple_baseline", "unbiased", "argmax")
    assert (changed.convention, changed.decoder, changed.bgr, changed.shifted_flip) == (
        "unbiased",
        "argmax",
        True,
        True,
    )


def test_a_shifted_flip_keeps_the_first_column():
    heatmaps = jnp.arange(4.0).reshape(1, 1, 4, 1)
    assert flip_back(heatmaps, np.array([0]), shifted=True).ravel().tolist() == [3, 3, 2, 1]
