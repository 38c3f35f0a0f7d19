"""Reading and writing the config.json of a run, including files that earlier versions wrote."""

import json
import pathlib
from typing import Any

from aggpose_jax import io
from aggpose_jax.config.config import Config
from aggpose_jax.config.schema import default_config
from aggpose_jax.errors import UserError

_MAE_FIELDS = ("decoder_width", "decoder_depth", "decoder_heads", "dense")
# Fields of the model group that earlier versions stored without using them, by the prefix of the network's name.
IGNORED = {
    "aggpose_": _MAE_FIELDS,
    "mit_pose_": (*_MAE_FIELDS, "fusion"),
    "mae_": ("fusion",),
}
UNBIASED = {"crop_convention": "unbiased", "decoder": "dark"}  # values of these keys in the protocol of AggPose


def save_config(config: Config, path: pathlib.Path) -> None:
    """Writes the configuration of a run as JSON, atomically; `load_config` reads it."""
    io.write_json(path, config.to_dict(), indent=2)


def load_config(path: pathlib.Path) -> Config:
    """Returns the configuration that `save_config` of this or an earlier version wrote.

    A key that the file lacks gets its default, and a key of the file that does not exist is ignored. The values are
    not checked, so that an override (see `change`) can replace one that is not allowed any more.

    Raises:
      UserError: there is no such file, it does not hold a configuration, or a value has the wrong type.
    """
    try:
        stored = json.loads(path.read_bytes())
        if not isinstance(stored, dict):
            raise ValueError("it is not a JSON object")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Give the folder of a run, with config.json and checkpoints/.") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as a configuration ({error}); restore this file, or give another run"
        ) from None
    config = default_config()
    try:
        stored = migrate(stored)
        _set(config, stored)
        _add_model_fields(config, stored.get("model", {}))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return config


def migrate(stored: dict[str, Any]) -> dict[str, Any]:
    """Converts the content of a config.json to this version.

    Fields that its network never used are removed. Before there were protocols, the keys of UNBIASED were always set;
    now they are empty where they equal the protocol.
    """
    if "protocol" not in stored:
        stored = stored | {key: "" for key, value in UNBIASED.items() if stored.get(key) == value}
    model = stored.get("model")
    if not isinstance(model, dict):
        return stored
    ignored = next((fields for prefix, fields in IGNORED.items() if str(model.get("name")).startswith(prefix)), ())
    return stored | {"model": {field: value for field, value in model.items() if field not in ignored}}


def _add_model_fields(config: Config, stored: dict[str, Any]) -> None:
    """Adds to config.model the fields of config.json that the schema does not have, such as depths.

    An experiment had added them to its model group. They are checked when the network is built, by `networks.build`.
    """
    for field in stored.keys() - config.model.keys():
        with config.model.unlocked():
            config.model[field] = _tuples(stored[field])


def _tuples(value: Any) -> Any:
    """Returns a value read from JSON with tuples in place of lists, because a configuration holds tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _set(config: Config, stored: dict[str, Any]) -> None:
    """Sets in `config` the values of config.json whose keys still exist in the schema, also those in groups."""
    for key in config.keys() & stored.keys():
        if isinstance(config[key], Config) and isinstance(stored[key], dict):
            _set(config[key], stored[key])
        else:
            config[key] = stored[key]
