"""Configurations keep their keys and the types of their values."""

import re

import pytest

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError


def test_an_experiment_cannot_invent_a_key():
    config = default_config()
    with pytest.raises(UserError, match="learning_rat: no such key; the nearest is learning_rate"):
        config.learning_rat = 1.0
    with pytest.raises(UserError, match="nam: no such key; the nearest is name"):
        config.model.nam = "aggpose_s"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", "8", "batch_size: '8' is not a whole number; give one, such as 128"),
        ("batch_size", 8.0, "batch_size: 8.0 is not a whole number"),
        ("batch_size", True, "batch_size: True is not a whole number"),
        ("learning_rate", "fast", "learning_rate: 'fast' is not a number; give one, such as 0.001"),
        ("flip_test", 1, "flip_test: 1 is not True or False"),
        ("data_dir", None, "data_dir: None is not text; give one, such as 'data/coco'"),
        ("freeze", "head/.*", "freeze: 'head/.*' is not a tuple"),
        ("input_size", (64, "48"), "input_size: '48' is not a whole number; give one, such as 256"),
        ("model", {"name": "aggpose_s"}, "model: has keys of its own; set one of them, such as model."),
    ],
)
def test_a_value_of_another_type_is_told_the_right_one(key, value, message):
    config = default_config()
    with pytest.raises(UserError, match=re.escape(message)):
        config[key] = value
    assert config.to_dict() == default_config().to_dict()


def test_whole_numbers_and_lists_become_what_the_key_holds():
    config = default_config()
    config.sigma, config.decay_epochs, config.input_size = 3, [1, 2], [64, 32]
    assert (config.sigma, config.decay_epochs, config.input_size) == (3.0, (1.0, 2.0), (64, 32))
    assert [type(x) for x in (config.sigma, config.decay_epochs[0])] == [float, float]
