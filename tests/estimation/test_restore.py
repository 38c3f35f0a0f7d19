"""Tests of restoring networks with their variables from runs and weight files, and of the error messages."""

import json

import jax
import numpy as np
import pytest
from tiny import write_experiment, write_run

from aggpose_jax.errors import UserError
from aggpose_jax.estimation.restore import read_weights, restore
from aggpose_jax.training import checkpoint
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns the folder of a run of a tiny network, and its variables."""
    folder = tmp_path_factory.mktemp("run")
    task, variables = write_run(folder)
    weight_files.write(folder / "weights.safetensors", write_state_dict(task.model, variables))
    return folder, variables


def test_run_and_weight_file_restore_the_same_variables(run):
    folder, variables = run
    of_run = restore(folder, overrides=["flip_test=False"])
    of_file = restore(folder / "weights.safetensors", str(write_experiment(folder)))
    for restored in (of_run, of_file):
        jax.tree.map(np.testing.assert_array_equal, restored.variables, variables)
        assert restored.model.keypoint_set.name == "infant_21"
    assert (of_run.step, of_file.step) == (3, None)
    assert (of_run.model.flip_test, of_file.model.flip_test) == (False, True)
    assert of_run.config.flip_test is False


def change_config(folder, copy, **changes):
    """Returns a copy of a run with changes of the network in its config.json."""
    stored = json.loads((folder / "config.json").read_text())
    stored["model"] |= changes
    copy.mkdir()
    (copy / "config.json").write_text(json.dumps(stored))
    (copy / "checkpoints").symlink_to(folder / "checkpoints")
    return copy


@pytest.mark.parametrize("read", [restore, read_weights])
def test_run_with_an_unknown_network_names_the_nearest_one(run, tmp_path, read):
    old = change_config(run[0], tmp_path / "old", name="mit_pose_tinny")
    with pytest.raises(UserError, match=rf"^{old}.*'mit_pose_tinny'.*mit_pose_tiny\b"):
        read(old)


def test_error_names_weights_that_the_network_does_not_have(tmp_path):
    _, variables = write_run(tmp_path)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 4, {"params": variables["params"] | {"gate": {"kernel": np.zeros(2, np.float32)}}})
    with pytest.raises(UserError, match=r"mit_pose_tiny.*params/gate/kernel"):
        restore(tmp_path, which="latest")


def test_missing_source_is_named(tmp_path):
    for read in (restore, read_weights):
        with pytest.raises(UserError, match="nowhere: "):
            read(tmp_path / "nowhere")
