"""Tests of the pinhole camera."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH, Camera, Framing, sample_camera

# From 2 m above the origin, straight down, with the head of an infant at the top of the image.
ABOVE = Camera(np.array([0.0, 0, 2]), np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]), 100.0, np.array([160.0, 120]))


def test_points_project_by_the_distance_from_the_camera():
    projected = ABOVE.project(np.array([[0.0, 0, 0], [0.4, 0, 0], [0, 0.4, 1]]))
    np.testing.assert_allclose(projected, [[160, 120, 2], [180, 120, 2], [160, 80, 1]])


@pytest.mark.parametrize("tilts", [((0, 5),), ((70, 75),)])
def test_a_sampled_camera_sees_all_points_and_stands_at_its_tilt(tilts):
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.uniform(-0.3, 0.3, (40, 3))
        camera = sample_camera(rng, Framing(tilts=tilts, cut=0.0), points)
        x, y, depth = camera.project(points).T
        assert x.min() >= -1e-6
        assert x.max() <= WIDTH + 1e-6
        assert y.min() >= -1e-6
        assert y.max() <= HEIGHT + 1e-6
        assert depth.min() > 0
        assert np.degrees(np.arccos(-camera.axes[2, 2])) == pytest.approx(np.mean(tilts), abs=2.6)
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(camera.axes) == pytest.approx(1)  # no mirrored infants
