"""The examined frames of films, and the keypoints of crops and of their mirror images."""

from types import SimpleNamespace

import numpy as np
import pytest
from stick_figures import STICK_FIGURE, stick_figure

from aggpose_jax.adaptation import films
from aggpose_jax.data import videos
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.progress import ProgressLines
from aggpose_jax.pose.protocol import AGGPOSE


def test_every_nth_frame_of_all_films_together_is_examined():
    assert [rows.tolist() for rows in films.spread([3, 2], most=5)] == [[0, 1, 2], [0, 1]]
    assert [rows.tolist() for rows in films.spread([3, 4, 1], most=4)] == [[0, 2], [1, 3], []]  # of 8 every second
    assert [rows.tolist() for rows in films.spread([5], most=2)] == [[0, 3]]
    assert films.spread([], most=4) == []
    assert sum(map(len, films.spread([777, 1, 3210, 45], most=100))) <= 100


class BrightSpot:
    """A model whose keypoints are all at the brightest pixel of a crop."""

    keypoint_set, protocol = STICK_FIGURE, AGGPOSE
    codec = SimpleNamespace(input_size=(128, 96), convention="unbiased")

    def estimate(self, variables, pixels, to_image):
        found = np.zeros((len(pixels), len(STICK_FIGURE), 3), np.float32)
        for n, (crop, transform) in enumerate(zip(pixels, to_image, strict=True)):
            y, x = np.unravel_index(crop.sum(-1).argmax(), crop.shape[:2])
            found[n] = (*(transform[:, :2] @ (x, y) + transform[:, 2]), 0.9)
        return found, None


@pytest.fixture
def film(tmp_path):
    """Returns a film of four frames of 160 × 120 pixels; frame i has a bright spot around (60 + 4 i, 50)."""
    frames = np.zeros((4, 120, 160, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[48:53, 58 + 4 * i : 63 + 4 * i] = 128
        frame[49:52, 59 + 4 * i : 62 + 4 * i] = 200
        frame[50, 60 + 4 * i] = 255
    videos.write_frames(((i / 30, frame) for i, frame in enumerate(frames)), tmp_path / "film.mp4")
    return tmp_path / "film.mp4"


@pytest.mark.parametrize("roll", [0.0, 30.0])
def test_both_estimates_are_in_pixels_of_the_frame(film, roll):
    pose = np.ones((8, 3))
    pose[:, :2] = stick_figure((70, 55), 60.0, roll)
    poses = np.stack([np.full((8, 3), np.nan), pose])
    straight, mirrored = films.estimate_both(
        Predictor(BrightSpot(), {}), film, np.array([0, 2]), poses, ProgressLines(0)
    )
    assert np.isnan(straight[0]).all()
    assert np.isnan(mirrored[0]).all()
    for found in (straight, mirrored):
        np.testing.assert_allclose(found[1, :, :2], np.tile([68.0, 50.0], (8, 1)), atol=1.5)


def test_left_is_left_in_both_estimates(film):
    swap = STICK_FIGURE.flip_permutation
    assert (swap != np.arange(8)).any()
    truth = np.concatenate([stick_figure((70, 55), 60.0, 0.0), np.ones((8, 1))], axis=1)

    class Named:
        """Sees a right keypoint as a left one in a mirrored crop, as a network does."""

        keypoint_set, aspect = STICK_FIGURE, 0.75

        def estimate(self, crops):
            return np.stack([truth[swap] if view.flipped else truth for _, view in crops])

    straight, mirrored = films.estimate_both(Named(), film, np.array([1]), truth[None], ProgressLines(0))
    np.testing.assert_array_equal(straight[0], truth)
    np.testing.assert_array_equal(mirrored[0], truth)
