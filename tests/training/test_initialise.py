"""Initial variables of a network from weight files and from runs."""

import pathlib

import jax
import numpy as np
import pytest
from trees import blank, numbered, shapes, weights

from aggpose_jax import networks
from aggpose_jax.config import default_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.training import checkpoint
from aggpose_jax.training.initialise import initial_variables
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


def write_file(path: pathlib.Path, name: str, keypoints: int = 17, change=lambda tensors: tensors) -> pathlib.Path:
    tensors = write_state_dict(networks.build(name, keypoints=keypoints), {"params": numbered(name, keypoints)})
    weight_files.write(path, change(tensors))
    return path


def write_run(workdir: pathlib.Path, name: str) -> pathlib.Path:
    config = default_config()
    config.model.name = name
    workdir.mkdir()
    save_config(config, workdir / "config.json")
    with checkpoint.open_manager(workdir) as manager:
        checkpoint.save(manager, 3, {"params": numbered(name)})
    return workdir


def no_new_parameters():
    raise AssertionError("no new parameters are needed")


def test_a_file_and_a_run_give_the_same_variables(tmp_path):
    for source in (
        write_file(tmp_path / "tiny.safetensors", "aggpose_tiny"),
        write_run(tmp_path / "run", "aggpose_tiny"),
    ):
        variables, report = initial_variables(
            source, weights("aggpose_tiny", shapes("aggpose_tiny")), no_new_parameters
        )
        jax.tree.map(np.testing.assert_array_equal, variables["params"], numbered("aggpose_tiny"))
        assert not report.new


def test_variables_missing_in_the_source_are_new(tmp_path):
    source = write_run(tmp_path / "run", "mit_pose_tiny")
    new = numbered("aggpose_tiny", 21, start=10**6)
    target = weights("aggpose_tiny", shapes("aggpose_tiny", 21), 21)
    variables, report = initial_variables(source, target, lambda: {"params": new})
    params = variables["params"]
    backbone = numbered("mit_pose_tiny")["encoder"]
    np.testing.assert_array_equal(params["stage2_4"]["norm"]["scale"], backbone["stage2"]["norm"]["scale"])
    np.testing.assert_array_equal(params["head"]["fc1"]["kernel"], new["head"]["fc1"]["kernel"])
    assert "head" in report.new
    assert "stage2_4" not in report.new


def test_a_head_for_other_keypoints_is_new_and_reported(tmp_path):
    source = write_file(tmp_path / "coco.safetensors", "aggpose_tiny", 17)
    new = numbered("aggpose_tiny", 21)
    target = weights("aggpose_tiny", shapes("aggpose_tiny", 21), 21)
    variables, report = initial_variables(source, target, lambda: {"params": new})
    params = variables["params"]
    assert report.new == ["head"]
    assert report.keypoints == (17, 21)
    assert params["head"]["fc2"]["bias"].shape == (21,)


def without_norm2_1(tensors: dict) -> dict:
    return {name: tensor for name, tensor in tensors.items() if "norm2_1" not in name} | {"more": np.zeros(1, "f4")}


def with_infinity(tensors: dict) -> dict:
    return tensors | {"final.fc1.bias": np.full(16, np.inf, np.float32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_norm2_1, r"norm2_1\.bias, norm2_1\.weight.* more\b"),
        (with_infinity, r"final\.fc1\.bias"),
    ],
)
def test_all_wrong_tensors_of_a_file_are_named(change, message, tmp_path):
    source = write_file(tmp_path / "bad.safetensors", "aggpose_tiny", 17, change)
    with pytest.raises(UserError, match=rf"^{source}: .*AggPose.* {message}"):
        initial_variables(source, weights("aggpose_tiny", shapes("aggpose_tiny")), no_new_parameters)


def test_the_variants_that_fit_a_file_are_named(tmp_path):
    source = tmp_path / "s.safetensors"
    weight_files.write(
        source, write_state_dict(networks.build("aggpose_s", keypoints=17), {"params": blank("aggpose_s")})
    )
    with pytest.raises(UserError, match=rf"^{source}: .*aggpose_s.*mit_pose_b2.*mae_b2"):
        initial_variables(source, weights("aggpose_l", shapes("aggpose_l")), no_new_parameters)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match="gone: "):
        initial_variables(tmp_path / "gone", weights("aggpose_tiny", shapes("aggpose_tiny")), no_new_parameters)
