"""Tests of cast shadows and of the darkness where things touch, of a flat square above a bed."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.lighting import contact, height_map, shadow

# A square of 20 cm side, 10 cm above the bed.
SQUARE = np.array([[-0.1, -0.1, 0.1], [0.1, -0.1, 0.1], [0.1, 0.1, 0.1], [-0.1, 0.1, 0.1]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
UP = np.array([0.0, 0, 1])


def test_a_map_gives_the_heights_of_things():
    seen = height_map(SQUARE, TRIANGLES, False, UP)
    places, heights = seen.places(np.array([[0.0, 0, 0.1], [0, 0, 0]]))
    np.testing.assert_allclose(heights, [0.1, 0], atol=1e-6)
    x, y = places[0].round().astype(int)
    assert seen.heights[y, x] == pytest.approx(0.1, abs=1e-5)
    assert seen.heights[0, 0] == pytest.approx(seen.low)  # nothing there


@pytest.mark.parametrize("slant", [0.0, 1.0])
def test_the_shadow_lies_opposite_to_the_lamp(slant):
    lamp = np.array([slant, 0, 1]) / np.hypot(slant, 1)
    seen = height_map(SQUARE, TRIANGLES, False, lamp)
    middle = -0.1 * slant  # Light that slants by 45° shifts the shadow by the height of the square.
    bed = np.array([[middle, 0, 0], [middle + 0.3, 0, 0], [middle - 0.3, 0, 0]])
    np.testing.assert_allclose(shadow(seen, bed, 0.005), [0, 1, 1], atol=0.05)
    assert shadow(seen, np.array([[0.0, 0, 0.1]]), 0.005)[0] == pytest.approx(1, abs=0.05)  # The square itself is lit.


def test_the_bed_is_darker_beside_things_that_stand_up():
    seen = height_map(SQUARE, TRIANGLES, False, UP)
    near, far = contact(seen, np.array([[0.09, 0.0, 0.0], [0.5, 0, 0]]))
    assert near < 0.6
    assert far == 1
