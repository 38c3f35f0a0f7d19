"""Tests of reading and writing the config.json of a run, including files of earlier versions."""

import json
import re

import pytest

from aggpose_jax.config import change, default_config, load_config, save_config
from aggpose_jax.errors import UserError


def test_loaded_config_has_the_types_of_the_defaults(tmp_path):
    config = default_config()
    config.input_size, config.freeze, config.model.drop_path = (64, 32), ("stage1_.*", "head/.*"), 0.3
    save_config(config, tmp_path / "config.json")
    loaded = load_config(tmp_path / "config.json")
    assert loaded.input_size == (64, 32)
    assert loaded.freeze == ("stage1_.*", "head/.*")
    assert loaded.model.drop_path == 0.3
    assert loaded.is_locked
    with pytest.raises(UserError, match=r"^nonsense: "):
        loaded.nonsense = 1


def test_key_that_the_file_lacks_has_its_default(tmp_path):
    stored = default_config().to_dict() | {"batch_size": 3}
    del stored["average_decay"], stored["model"]["unroll"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    loaded = load_config(tmp_path / "config.json")
    assert (loaded.batch_size, loaded.average_decay, loaded.model.unroll) == (3, 0.0, 0)


def test_missing_or_invalid_file_raises(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load_config(tmp_path / "config.json")
    for content in ("{", "[]", "3"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match=r"config\.json: cannot be read"):
            load_config(tmp_path / "config.json")


def stored(folder, **changes):
    """Writes a config.json with the defaults and these changes (a dict for keys of a group); returns it loaded."""
    content = default_config().to_dict()
    for key, value in changes.items():
        content[key] = content.get(key, {}) | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(content))
    return load_config(folder / "config.json")


def test_conventions_stored_before_there_were_protocols_are_those_of_aggpose(tmp_path):
    content = default_config().to_dict() | {"crop_convention": "unbiased", "decoder": "quarter"}
    del content["protocol"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    loaded = load_config(tmp_path / "config.json")
    assert (loaded.protocol, loaded.crop_convention, loaded.decoder) == ("aggpose", "", "quarter")
    assert stored(tmp_path, crop_convention="unbiased").crop_convention == "unbiased"


def test_stored_keys_that_do_not_exist_are_ignored(tmp_path):
    loaded = stored(tmp_path, seed=3, speed=9, mesh={"data": -1, "fsdp": 2}, gears={"first": 1})
    assert loaded.flat() == change(default_config(), ["seed=3", "mesh.fsdp=2"]).flat()


@pytest.mark.parametrize(
    ("network", "used"),
    [
        ("aggpose_tiny", {"fusion"}),
        ("mit_pose_b5", set()),
        ("mae_b5", {"decoder_width", "decoder_depth", "decoder_heads", "dense"}),
    ],
)
def test_stored_fields_that_the_network_never_used_have_their_default(tmp_path, network, used):
    fields = {"fusion": "paper", "decoder_width": 64, "decoder_depth": 1, "decoder_heads": 4, "dense": True}
    loaded = stored(tmp_path, model={"name": network, "drop_path": 0.3, "unroll": 2, **fields}).model
    assert (loaded.name, loaded.drop_path, loaded.unroll) == (network, 0.3, 2)
    defaults = default_config().model
    assert {field: loaded[field] for field in fields} == {
        field: value if field in used else defaults[field] for field, value in fields.items()
    }


def test_stored_fields_of_any_other_network_are_read(tmp_path):
    assert stored(tmp_path, model={"name": "hourglass", "decoder_width": 64}).model.decoder_width == 64


def test_stored_value_that_is_not_allowed_can_be_overridden(tmp_path):
    config = stored(tmp_path, model={"dtype": "float16"})
    with pytest.raises(UserError, match=r"^model\.dtype: 'float16' .*float32, bfloat16"):
        change(config, [])
    assert change(config, ["model.dtype=float32"]).model.dtype == "float32"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "one"}, "seed: 'one' "),
        ({"model": 3}, "model: "),
        ({"augmentation": {"flip": []}}, "flip: [] "),
    ],
)
def test_stored_value_of_another_type_raises_with_the_file_name(tmp_path, changes, message):
    with pytest.raises(UserError, match=re.escape(f"config.json: {message}")):
        stored(tmp_path, **changes)


def test_fields_that_an_experiment_adds_to_the_model_are_stored(tmp_path):
    config = default_config()
    with config.model.unlocked():
        config.model.depths = ((2, 1), (3,))
    save_config(change(config, ["batch_size=3"]), tmp_path / "config.json")
    assert load_config(tmp_path / "config.json").model.depths == ((2, 1), (3,))
