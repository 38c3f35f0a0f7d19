"""Tests of the network whose weights come with the package, on rendered infants in styles that training never shows."""

import numpy as np

import aggpose_jax
from aggpose_jax.data.synthetic.infants import RenderedInfants
from aggpose_jax.data.synthetic.staging import LEVELS
from aggpose_jax.estimation import pretrained
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import torso_length
from aggpose_jax.timeseries import calibration


def test_a_rendered_infant_is_found_without_naming_a_checkpoint():
    record = RenderedInfants(10, split="val", variety=LEVELS["garments"])[1]
    (pose,) = aggpose_jax.load(overrides=["flip_test=False"]).predict(record["image"])
    shown = (record["keypoints"][:, 2] > 0) & ~record["absent"]
    errors = np.linalg.norm(pose[shown, :2] - record["keypoints"][shown, :2], axis=-1)
    assert np.median(errors) < 0.2 * torso_length(record["keypoints"][None], INFANT_21)[0]


def test_the_weights_are_small_and_those_of_the_model_card():
    weights = pretrained.read()
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir()) < 10e6
    assert weights.variables["params"]["head"]["fc2"]["bias"].shape == (len(INFANT_21),)


def test_the_calibration_is_that_of_the_weights():
    known = calibration.of_package()
    assert known.digest == aggpose_jax.load().digest
    assert known.keypoints == INFANT_21.names
    assert known.warnings == []
