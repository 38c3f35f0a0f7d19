"""Tests of the mesh of the infants: its file, its surface and its shape targets."""

import numpy as np
import pytest

from aggpose_jax.data.synthetic.mesh import FILE, load_mesh, make_shape, normals
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import INFANT_21

MEAN = {name: 1 / 6 for name in load_mesh().targets if name != "adult"}  # one of six figures, one of six weights


def test_a_missing_and_a_damaged_file_are_errors_that_name_the_file(tmp_path):
    missing, damaged = tmp_path / "missing.npz", tmp_path / "damaged.npz"
    damaged.write_bytes(FILE.read_bytes()[:-1] + b"x")
    for file, reason in ((missing, "No such file"), (damaged, "SHA-256")):
        with pytest.raises(UserError, match=reason) as error:
            load_mesh(file)
        assert str(file) in str(error.value)


def test_sizes_and_names():
    mesh = load_mesh()
    assert len(mesh.triangles) == 6000
    assert mesh.points[:21] == INFANT_21.names
    assert FILE.stat().st_size < 1_000_000
    assert all(parent < bone for bone, parent in enumerate(mesh.parents))
    np.testing.assert_allclose(mesh.weights.sum(axis=1), 1, atol=1e-6)


def test_the_surface_is_turned_outwards_and_has_the_volume_of_an_infant():
    shape, mesh = make_shape(MEAN, {}), load_mesh()
    a, b, c = (shape.vertices[mesh.triangles[:, i]].astype(float) for i in range(3))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6  # the divergence theorem
    assert 0.003 < volume < 0.008  # cubic metres, 60 cm tall
    nose = shape.vertices[:, 2].argmax()
    assert normals(shape.vertices)[nose, 2] > 0.8


def test_keypoints_lie_where_their_names_say():
    shape, mesh = make_shape(MEAN, {}), load_mesh()
    point = dict(zip(mesh.points, shape.points, strict=True))
    left_to_right = ("left_middle_finger", "left_wrist", "left_elbow", "left_shoulder", "navel", "right_shoulder")
    assert np.all(np.diff([point[name][0] for name in left_to_right]) < 0)  # x points to the infant's left
    top_to_bottom = ("left_eye", "chin", "chest", "navel", "left_hip", "left_knee", "left_ankle", "left_toe")
    assert np.all(np.diff([point[name][1] for name in top_to_bottom]) < 0)
    for name in ("left_eye", "chin", "chest", "navel", "right_toe"):
        assert point[name][2] > point["left_hip"][2] + 0.02  # in front
    np.testing.assert_allclose(point["left_knee"] * [-1, 1, 1], point["right_knee"], atol=0.002)


def test_shape_targets_add_up():
    a, b = make_shape({"asian_male": 1.0}, {}), make_shape({"max_female": 0.5}, {})
    both, neither = make_shape({"asian_male": 1.0, "max_female": 0.5}, {}), make_shape({}, {})
    np.testing.assert_allclose(both.vertices, a.vertices + b.vertices - neither.vertices, atol=1e-6)
