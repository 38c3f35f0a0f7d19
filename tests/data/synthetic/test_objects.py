"""Tests of tubes, ellipsoids and cloths: closed surfaces that are turned outwards, and cloths that cover things."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.objects import cloth, drape, ellipsoid, tube

RED = np.array([255.0, 0, 0])


def volume(solid) -> float:
    """Returns the volume by the divergence theorem; it is positive if all triangles are turned outwards."""
    a, b, c = (solid.vertices[solid.triangles[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def test_the_volume_of_a_tube_is_that_of_its_cylinder():
    path = np.stack([np.zeros(12), np.linspace(0, 1, 12), np.full(12, 0.3)], axis=1)
    solid = tube(path, np.full(12, 0.1), RED, sides=24)
    assert abs(volume(solid)) == pytest.approx(np.pi * 0.1**2, rel=0.05)


def test_the_volume_of_an_ellipsoid_is_the_product_of_its_axes():
    solid = ellipsoid(np.array([1.0, 2, 3]), np.diag([0.3, 0.2, 0.1]), RED, rows=30, columns=40)
    assert volume(solid) == pytest.approx(4 / 3 * np.pi * 0.3 * 0.2 * 0.1, rel=0.03)
    outwards = (solid.vertices - [1, 2, 3]) * solid.normals
    assert (outwards.sum(axis=1) > 0).all()


def test_a_cloth_lies_over_what_is_below_it():
    below = np.zeros((40, 40))
    below[15:25, 15:25] = 0.1
    heights = drape(below, 5, np.random.default_rng(0), folds=0.0)
    assert (heights > below).all()
    assert heights[0, 0] < 0.02
    x, y = np.linspace(-1, 1, 40), np.linspace(1, -1, 40)
    keep = np.ones((40, 40), bool)
    keep[:, :10] = False
    solid = cloth(heights, x, y, keep, np.zeros((40, 40, 3)), "object")
    used = solid.vertices[np.unique(solid.triangles)]
    assert used[:, 0].min() == pytest.approx(x[10])
    a, b, c = (solid.vertices[solid.triangles[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()  # turned upwards
    assert (solid.normals[:, 2] > 0).all()
