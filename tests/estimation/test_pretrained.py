"""Tests of the weights that come with the package."""

import hashlib
import pathlib
import shutil

import jax
import numpy as np
import pytest
from tiny import write_run

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.estimation.restore import read_weights, restore
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Returns the folder of a package with the weights of a tiny network in half precision, and its variables."""
    task, variables = write_run(tmp_path / "run")
    folder = tmp_path / "package"
    folder.mkdir()
    tensors = write_state_dict(task.model, variables)
    weight_files.write(folder / "weights.safetensors", {name: t.astype(np.float16) for name, t in tensors.items()})
    shutil.copy(tmp_path / "run" / "config.json", folder)
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "README.md").write_text(f"A tiny network.\n\nSHA-256 `{digest}`\n")
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    return folder, variables


def test_name_restores_the_weights_of_the_package_in_single_precision(package):
    name = pathlib.Path("pretrained")
    restored, weights = restore(name), read_weights(name)
    for variables in (restored.variables, weights.variables):
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.float32(np.float16(b))), variables, package[1])
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    assert restored.step is None
    assert restored.model.keypoint_set == INFANT_21


def test_folder_of_another_name_is_not_replaced_by_the_package(package, tmp_path):
    missing = tmp_path / "pretrained"
    with pytest.raises(UserError, match=rf"^{missing}: no such run"):
        restore(missing)


def test_weights_that_the_model_card_does_not_describe_are_refused(package):
    folder, _ = package
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"weights.safetensors: its SHA-256 is not .* reinstall"):
        restore(pathlib.Path("pretrained"))


def test_missing_weights_are_named(package):
    (package[0] / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights.safetensors: cannot be read .* reinstall"):
        restore(pathlib.Path("pretrained"))


def test_other_keypoints_are_refused(package):
    with pytest.raises(UserError, match=r"predicts the keypoints infant_21, not coco_17"):
        restore(pathlib.Path("pretrained"), overrides=["keypoint_set=coco_17"])
