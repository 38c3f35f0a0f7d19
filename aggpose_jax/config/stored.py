"""The config.json of a run, also of one that an earlier version made."""

import json
import pathlib
from typing import Any

from aggpose_jax import io
from aggpose_jax.config.config import Config
from aggpose_jax.config.schema import default_config
from aggpose_jax.errors import UserError

_OF_MAE = ("decoder_width", "decoder_depth", "decoder_heads", "dense")
# Fields of the model group that earlier versions stored and did not use, by the beginning of the network's name.
IGNORED = {
    "aggpose_": _OF_MAE,
    "mit_pose_": (*_OF_MAE, "fusion"),
    "mae_": ("fusion",),
}


def save_config(config: Config, path: pathlib.Path) -> None:
    """Writes a configuration as JSON, atomically."""
    io.write_json(path, config.to_dict(), indent=2)


def load_config(path: pathlib.Path) -> Config:
    """Returns what `save_config` wrote, in this version or an earlier one.

    A key that did not exist then has its default, and one that no longer exists is left out. Whether the values make
    sense is not checked, so that an override can replace one that no longer does: see `change`.

    Raises:
      UserError: there is no such file, or it is no configuration.
    """
    try:
        stored = json.loads(path.read_bytes())
        if not isinstance(stored, dict):
            raise ValueError("it holds no keys")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run's folder holds config.json and checkpoints/") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a configuration ({error})") from None
    config = default_config()
    try:
        stored = migrate(stored)
        _set(config, stored)
        _add_model_fields(config, stored.get("model", {}))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return config


def migrate(stored: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of a config.json as this version means it: without fields that its network never had."""
    model = stored.get("model")
    if not isinstance(model, dict):
        return stored
    ignored = next((fields for first, fields in IGNORED.items() if str(model.get("name")).startswith(first)), ())
    return stored | {"model": {field: value for field, value in model.items() if field not in ignored}}


def _add_model_fields(config: Config, stored: dict[str, Any]) -> None:
    """Sets fields of the network that an experiment added to the group, such as depths; the builder checks them."""
    for field in stored.keys() - config.model.keys():
        with config.model.unlocked():
            config.model[field] = _tuples(stored[field])


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _set(config: Config, stored: dict[str, Any]) -> None:
    for key in config.keys() & stored.keys():
        if isinstance(config[key], Config) and isinstance(stored[key], dict):
            _set(config[key], stored[key])
        else:
            config[key] = stored[key]
