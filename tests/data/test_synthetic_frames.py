"""The source of frames of synthetic infants."""

import numpy as np

from aggpose_jax.data.synthetic import SyntheticMovement
from aggpose_jax.data.synthetic_frames import SyntheticFrames


def test_synthetic_frames_equal_those_of_synthetic_movement():
    source = SyntheticFrames(2, 5, split="test", stride=3)
    assert source.counts() == {"videos": 2, "segments": 4, "frames": 10}
    frame = source.draw(source[3], np.random.default_rng(0))
    expected = SyntheticMovement(2, 5, split="test")[frame["id"]]
    assert (frame["video_id"], frame["frame"]) == (expected["video_id"], expected["frame"])
    np.testing.assert_array_equal(frame["image"], expected["image"])


def test_true_boxes_are_those_of_synthetic_movement():
    boxes = SyntheticFrames(2, 3, split="test").boxes(2)
    movement = SyntheticMovement(2, 3, split="test")
    assert boxes[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(boxes[:, 1:], [movement[3 + frame]["box"] for frame in range(3)], rtol=1e-6)
