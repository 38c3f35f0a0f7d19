"""Tests that infants lie on the bed within their limits, and move without jumps."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.mesh import load_mesh
from aggpose_jax.data.synthetic.posture import pose, sample_movement, sample_shape
from aggpose_jax.data.synthetic.skeleton import ANGLES


def sample(seed: int, moving: bool):
    rng = np.random.default_rng(seed)
    return sample_movement(rng, sample_shape(rng), moving)


@pytest.mark.parametrize("seed", range(12))
def test_an_infant_lies_on_the_bed(seed):
    body = pose(sample(seed, False), 0.0)
    assert -0.02 < body.vertices[:, 2].min() <= 0.001
    assert body.points[:, 2].min() > 0
    assert body.vertices[:, 2].max() < 0.5
    trunk = load_mesh().weights[: len(body.vertices), :3].sum(axis=1) > 0.9
    assert body.vertices[trunk, 2].min() < 0.001  # The trunk touches the bed.


def test_elbows_and_knees_never_bend_backwards():
    for seed in range(30):
        angles = dict(zip(ANGLES, sample(seed, False).keys[0], strict=True))
        for name, angle in angles.items():
            if name.endswith("flex") and "trunk" not in name:
                assert 0 <= angle <= np.radians(150)


def test_postures_of_all_kinds_occur():
    rolls = np.array([sample(seed, False).roll for seed in range(150)])
    on_back, on_belly = np.abs(rolls) < 0.5, np.abs(rolls) > 2.6
    assert 0.7 < on_back.mean() < 0.92
    assert 0.02 < on_belly.mean() < 0.16
    assert (~on_back & ~on_belly).any()


def test_a_movement_is_continuous_and_reaches_its_postures():
    movement = sample(3, True)
    times = np.arange(0, movement.period, 0.01)
    steps = np.diff([movement.angles(t) for t in times], axis=0)
    assert np.abs(steps).max() < 0.12  # radians in 10 ms
    still = movement.angles(movement.times[2]) - movement.keys[2]
    assert np.abs(still).max() <= 0.031  # Only the tremor is added.


def test_a_still_infant_does_not_move():
    movement = sample(4, False)
    np.testing.assert_allclose(movement.angles(0.0), movement.angles(0.7), atol=1e-12)
