"""The configuration of a student."""

import pathlib

import pytest

from aggpose_jax.adaptation import student
from aggpose_jax.config import default_config, flat_keys
from aggpose_jax.errors import UserError


def test_the_student_is_the_network_and_trains_on_the_data():
    network = default_config()
    network.model.name, network.input_size, network.keypoint_set = "aggpose_demo", (128, 96), "infant_21"
    network.upright, network.sigma, network.learning_rate = True, 1.0, 7.0
    config = student.make_config(network, pathlib.Path("round_1/data"), "pretrained", ["steps=9"])
    for key in student.NETWORK:
        assert config[key] == network[key]
    assert (config.data, config.data_dir, config.init_from, config.steps) == ("coco", "round_1/data", "pretrained", 9)
    assert config.learning_rate < 1
    assert config.average_decay > 0
    assert network.augmentation == default_config().augmentation


def test_keys_of_the_network_and_of_the_program_exist():
    keys = {name.split(".")[0] for name in flat_keys()}
    assert {*student.NETWORK, *student.GIVEN} <= keys
    assert not set(student.NETWORK) & set(student.GIVEN)


@pytest.mark.parametrize("key", student.GIVEN)
def test_a_key_that_the_program_sets_is_refused(key):
    with pytest.raises(UserError, match=f"--config.{key}"):
        student.check_overrides(["steps=1", f"{key}=x"])
    student.check_overrides(["steps=1"])


def test_a_finished_training_is_not_started_again(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(student.loop, "train", lambda config, workdir: started.append(workdir))
    config = default_config()
    config.steps = 20
    student.train(config, tmp_path)
    monkeypatch.setattr(student.checkpoints, "last_finished", lambda workdir: 20)
    student.train(config, tmp_path)
    assert started == [tmp_path]
    config.steps = 30
    student.train(config, tmp_path)
    assert len(started) == 2
