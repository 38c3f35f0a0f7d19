"""Tests of PoseModel: a network with its codec and its keypoint set, built from a configuration."""

import jax
import numpy as np
import pytest

from aggpose_jax.config import change, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.protocol import PROTOCOLS, Protocol


def config(*overrides: str):
    return change(default_config(), ["model.name=mit_pose_tiny", "input_size=(64, 32)", *overrides])


def test_model_follows_its_configuration():
    overrides = ("keypoint_set=infant_21", "sigma=3", "decoder=quarter", "blur_kernel=5", "blur_sigma=1")
    model = PoseModel.from_config(config(*overrides, "crop_convention=hrnet", "flip_test=False"))
    assert model.codec == Codec((64, 32), 3.0, "quarter", 5, 1.0, "hrnet")
    assert model.protocol == Protocol("hrnet", "quarter")
    assert (model.keypoint_set.name, model.network.keypoints, model.flip_test) == ("infant_21", 21, False)


def test_codec_follows_the_protocol():
    model = PoseModel.from_config(config("protocol=mmpose", "rounded_targets=True"))
    assert model.codec == Codec((64, 32), decoder="quarter_each_axis", convention="hrnet", nothing=-1, rounded=True)
    assert model.protocol == PROTOCOLS["mmpose"]


def test_shapes_match_initialised_variables():
    model = PoseModel.from_config(config())
    variables, shapes = jax.jit(model.init)(jax.random.key(0)), model.shapes()
    assert jax.tree.map(lambda a: (a.shape, a.dtype), variables) == jax.tree.map(lambda a: (a.shape, a.dtype), shapes)
    assert variables["params"]["head"]["fc2"]["bias"].shape == (17,)


def test_keypoints_are_decoded_from_the_heatmaps_of_the_crop():
    model = PoseModel.from_config(config("flip_test=False"))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda a: rng.normal(0, 0.3, a.shape).astype(np.float32), model.shapes())
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), np.uint8)
    to_image = np.stack([[[2, 0, 5], [0, 2, -1]]] * 2).astype(np.float32)
    keypoints, heatmaps = model.estimate(variables, image, to_image)
    expected = jax.jit(model.apply)(variables, normalise(to_unit(image)))
    assert expected.shape == (2, 16, 8, 17)
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-4, atol=1e-4)
    points, scores = model.codec.decode(expected)
    np.testing.assert_allclose(keypoints[..., :2], 2 * points + np.array([5, -1]), atol=1e-3)
    np.testing.assert_allclose(keypoints[..., 2], scores, rtol=1e-4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("input_size=(64, 48)", r"input_size: \(64, 48\) .* 32"),
        ("task=mae", "task: mae"),
        ("keypoint_set=nobody", "nobody"),
        ("model.name=nothing", "model.name: .*nothing"),
    ],
)
def test_inconsistent_configuration_raises_a_one_line_error(override, message):
    with pytest.raises(UserError, match=message) as error:
        PoseModel.from_config(config(override))
    assert "\n" not in str(error.value)
