"""Tests of the parts of the body that garments cover."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.body_map import BodyMap, body_map
from aggpose_jax.data.synthetic.clothes import CUTS, OUTFITS, Fabric, Garment, sample_cut, sample_folds
from aggpose_jax.data.synthetic.mesh import load_mesh

PLACES = body_map()
WEIGHTS = load_mesh().weights[: len(PLACES.arm)]


def covered(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    fabric = Fabric(np.zeros((4, 4, 3), np.uint8), 0.1, 0.0)
    return Garment(name, sample_cut(rng, name), fabric, None, sample_folds(rng)).cover(PLACES) > 0


def share(name: str, *bones: str) -> float:
    """Returns the share of the vertices of bones that a garment covers."""
    mesh = load_mesh()
    own = WEIGHTS[:, [mesh.bone(bone) for bone in bones]].sum(axis=1) > 0.7
    return covered(name)[own].mean()


@pytest.mark.parametrize(
    ("garment", "inside", "outside"),
    [
        ("nappy", "pelvis", "chest"),
        ("bodysuit", "belly", "left_shin"),
        ("sleepsuit", "left_foot", "head"),
        ("romper", "right_thigh", "head"),
        ("socks", "right_foot", "right_thigh"),
        ("mittens", "left_fingers", "left_upper_arm"),
        ("trousers", "left_thigh", "chest"),
        ("shirt", "chest", "left_shin"),
    ],
)
def test_garments_cover_what_they_are_named_for(garment, inside, outside):
    assert share(garment, inside) > 0.8
    assert share(garment, outside) < 0.05


def test_a_hat_covers_the_crown_and_a_hood_leaves_the_face_free():
    crown, face = PLACES.skull > 0.95, (PLACES.face > 0.9) & (PLACES.skull < 0.45)
    for name in ("hat", "hood"):
        assert covered(name)[crown].mean() > 0.8
        assert covered(name)[face].mean() < 0.05


def test_every_outfit_is_made_of_garments_and_folds_stay_outside_the_skin():
    assert {garment for garments in OUTFITS.values() for garment in garments} <= CUTS.keys()
    rng = np.random.default_rng(1)
    fabric = Fabric(np.zeros((4, 4, 3), np.uint8), 0.1, 0.0)
    garment = Garment("gown", sample_cut(rng, "gown"), fabric, None, sample_folds(rng))
    assert 0 < garment.relief(PLACES).min() < garment.relief(PLACES).max() < 0.06


def test_a_fabric_repeats_with_its_period_and_becomes_its_mean_from_afar():
    tile = np.zeros((8, 8, 3), np.uint8)
    tile[:, :4] = 200
    fabric = Fabric(tile, 0.08, 0.0)
    places = np.array([[0.01, 0.0], [0.05, 0.0], [0.09, 0.0], [-0.07, 0.0]], np.float32)
    np.testing.assert_array_equal(fabric.colours(places, 0.001)[:, 0], [200, 0, 200, 200])
    np.testing.assert_array_equal(fabric.colours(places, 1.0)[:, 0], 100)


def test_coordinates_survive_stacking():
    again = BodyMap.unstack(PLACES.stack())
    for name in ("arm", "leg", "face", "cloth", "looking", "rest"):
        np.testing.assert_allclose(getattr(again, name), getattr(PLACES, name), atol=1e-6)
