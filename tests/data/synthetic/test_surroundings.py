"""Tests of the surfaces around an infant: where the camera sees the bed, the floor and the wall."""

import dataclasses

import numpy as np
import pytest

from aggpose_jax.data.synthetic.camera import HEIGHT, WIDTH, Camera
from aggpose_jax.data.synthetic.clothes import Fabric
from aggpose_jax.data.synthetic.surroundings import Surroundings, draw_background, sample_wrinkles


def plain(grey: int) -> Fabric:
    return Fabric(np.full((4, 4, 3), grey, np.uint8), 0.1, 0.3)


# A bed of 1 m x 0.5 m on the floor, seen from 1 m above its middle: a metre is 200 pixels long.
FLAT = Surroundings(
    sheet=plain(100), floor=plain(200), bed=np.array([0.0, 0, 0.5, 0.25, 0]), edge=np.zeros(4), floor_depth=0.0,
    wall=np.full((2, 3), 30.0), wrinkles=np.zeros((96, 96)),
)  # fmt: skip
ABOVE = Camera(np.array([0.0, 0, 1]), np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]), 200.0, np.array([160.0, 120]))


def test_bed_and_floor_lie_where_they_should():
    colours = draw_background(FLAT, ABOVE).colours.reshape(HEIGHT, WIDTH, 3)[..., 0]
    is_bed = colours == 100
    rows, columns = np.nonzero(is_bed)
    assert (columns.min(), columns.max()) == pytest.approx((60, 260), abs=1)
    assert (rows.min(), rows.max()) == pytest.approx((70, 170), abs=1)
    assert is_bed[70:170, 61:259].mean() > 0.98
    assert colours[120, 5] == pytest.approx(200 * (0.55 + 0.45 * (155 / 200 - 0.5) / 0.4), abs=2)  # shaded by the bed


def test_a_turned_bed_is_seen_turned():
    turned = dataclasses.replace(FLAT, bed=np.array([0.0, 0, 0.5, 0.25, np.pi / 2]))
    rows, columns = np.nonzero(draw_background(turned, ABOVE).colours.reshape(HEIGHT, WIDTH, 3)[..., 0] == 100)
    assert np.ptp(rows) == pytest.approx(200, abs=2)
    assert np.ptp(columns) == pytest.approx(100, abs=2)


def test_positions_are_those_that_project_to_their_pixels():
    tilted = Camera(np.array([0.0, -1, 1]), np.array([[1, 0, 0], [0, -0.6, -0.8], [0, 0.8, -0.6]]), 200.0, ABOVE.centre)
    positions = draw_background(FLAT, tilted).positions.reshape(HEIGHT // 2, WIDTH // 2, 3)
    for row, column in ((60, 80), (110, 20), (80, 150)):
        x, y, _ = tilted.project(positions[row, column].astype(float))
        assert (x, y) == pytest.approx((2 * column, 2 * row), abs=0.05)


def test_above_the_horizon_there_is_the_wall():
    level = Camera(np.array([0.0, -1, 1]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), 200.0, ABOVE.centre)
    colours = draw_background(FLAT, level).colours.reshape(HEIGHT, WIDTH, 3)
    assert (colours[:100] == 30).all()
    assert (colours[-5:] != 30).any()


def test_wrinkles_bend_the_normals():
    rough = dataclasses.replace(FLAT, wrinkles=sample_wrinkles(np.random.default_rng(0), 0.004))
    flat, bent = (draw_background(scene, ABOVE).normals for scene in (FLAT, rough))
    np.testing.assert_allclose(flat, np.tile([0, 0, 1], (len(flat), 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(bent, axis=1), 1, atol=1e-5)
    assert bent[:, 2].min() < 0.995
