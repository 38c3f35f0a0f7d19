"""Tests that a configuration keeps its keys and the types of its values."""

import re

import pytest

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError


def test_unknown_key_raises_and_names_the_most_similar_key():
    config = default_config()
    with pytest.raises(UserError, match=r"^learning_rat: .*\blearning_rate\b"):
        config.learning_rat = 1.0
    with pytest.raises(UserError, match=r"^nam: .*\bname\b"):
        config.model.nam = "aggpose_s"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", "8", r"^batch_size: '8' .*integer.*\b128\b"),
        ("batch_size", 8.0, r"^batch_size: 8\.0 .*integer"),
        ("batch_size", True, r"^batch_size: True .*integer"),
        ("learning_rate", "fast", r"^learning_rate: 'fast' .*number.*\b0\.001\b"),
        ("flip_test", 1, r"^flip_test: 1 .*True or False"),
        ("data_dir", None, r"^data_dir: None .*string.*'data/coco'"),
        ("freeze", "head/.*", r"^freeze: 'head/\.\*' .*tuple"),
        ("input_size", (64, "48"), r"^input_size: '48' .*integer.*\b256\b"),
        ("model", {"name": "aggpose_s"}, r"^model: .*\bmodel\.\w"),
    ],
)
def test_value_of_another_type_raises_and_changes_nothing(key, value, message):
    config = default_config()
    with pytest.raises(UserError, match=re.compile(message)):
        config[key] = value
    assert config.to_dict() == default_config().to_dict()


def test_integers_become_floats_and_lists_become_tuples():
    config = default_config()
    config.sigma, config.decay_epochs, config.input_size = 3, [1, 2], [64, 32]
    assert (config.sigma, config.decay_epochs, config.input_size) == (3.0, (1.0, 2.0), (64, 32))
    assert [type(x) for x in (config.sigma, config.decay_epochs[0])] == [float, float]
