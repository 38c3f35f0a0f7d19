"""Tests of the depth buffer, against pixels found by hand."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.rasterizer import rasterize

# A right triangle with its corner at (1, 1) and legs of 4 pixels; clockwise on screen, which is the front.
CORNERS = np.array([[1.0, 1, 1], [1, 5, 1], [5, 1, 1]])
FRONT = np.array([[0, 1, 2]])


def test_pixels_whose_centres_lie_in_the_triangle_are_drawn():
    fragments = rasterize(CORNERS, FRONT, (8, 6))
    expected = [(x, y) for y in range(6) for x in range(8) if x >= 1 and y >= 1 and (x - 1) + (y - 1) <= 4]
    assert sorted((p % 8, p // 8) for p in fragments.pixel.tolist()) == sorted(expected)
    np.testing.assert_allclose(fragments.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(fragments.depth, 1, atol=1e-6)


def test_triangles_seen_from_behind_are_left_out_unless_they_have_two_sides():
    assert len(rasterize(CORNERS, FRONT[:, ::-1], (8, 6)).pixel) == 0
    assert len(rasterize(CORNERS, FRONT[:, ::-1], (8, 6), two_sided=np.array([True])).pixel) == 15


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearest_triangle_is_seen(order):
    points = np.concatenate([CORNERS, CORNERS * [1, 1, 0.5]])
    triangles = np.array([[0, 1, 2], [3, 4, 5]])[list(order)]
    fragments = rasterize(points, triangles, (8, 6))
    assert set(fragments.triangle) == {order.index(1)}
    np.testing.assert_allclose(fragments.depth, 0.5, atol=1e-6)


def test_what_is_behind_the_camera_or_outside_the_image_is_not_drawn():
    assert len(rasterize(CORNERS * [1, 1, -1], FRONT, (8, 6)).pixel) == 0
    assert len(rasterize(CORNERS - [20, 0, 0], FRONT, (8, 6)).pixel) == 0


def test_interpolation_is_correct_for_perspective():
    # A segment from (-1, z=1) to (1, z=3), seen with focal length 10: its middle, (0, z=2), is at the screen's centre.
    points = np.array([[0.0, 0, 1], [0, 9, 1], [10 + 10 / 3, 0, 3]])
    fragments = rasterize(points, FRONT, (20, 10))
    centre = fragments.pixel.tolist().index(10)
    assert fragments.depth[centre] == pytest.approx(2, abs=1e-5)
    values = fragments.interpolate(np.array([0.0, 0, 1]), FRONT)
    assert values[centre] == pytest.approx(0.5, abs=1e-5)
