"""Reads an experiment file of configs/ and applies the overrides of the command line to it."""

import ast
import difflib
import importlib.util
import os
import pathlib
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from aggpose_jax.config.config import Config
from aggpose_jax.config.schema import check
from aggpose_jax.errors import UserError

PACKAGE = pathlib.Path(__file__).parents[1]
FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "configs")  # of packaged experiments: installed, or in a clone

MOVED = {  # modules that experiments of earlier versions import, and the advice to replace that import
    "aggpose_jax.training.config": "Write `from aggpose_jax.config import default_config`. ",
}


def read_experiment(name: str | None, overrides: Sequence[str] = ()) -> Config:
    """Returns the configuration of an experiment file, with overrides applied and all values checked.

    Args:
      name: file, or name of a packaged experiment, such as "infant_l"; followed by :ARGUMENT to call its
        get_config(ARGUMENT). None or empty is an error.
      overrides: KEY=VALUE texts; see `change`.

    Raises:
      UserError: there is no such file, or the file or an override sets an unknown key or an invalid value.
    """
    if not name:
        raise UserError("--config: no experiment was given. Pass one, such as --config synthetic.")
    name, *argument = os.path.expanduser(name).split(":", 1)
    path = find_experiment(name)
    try:
        config = _load(path).get_config(*argument)
    except UserError as error:
        raise UserError(f"{_location(path, error)}: {error}") from None
    except ImportError as error:
        if error.name is None or not error.name.startswith("aggpose_jax."):
            raise
        message, _, _ = str(error).partition(" (")
        hint = MOVED.get(error.name, "")
        raise UserError(f"{_location(path, error)}: {message}. {hint}CHANGELOG.md lists what has moved.") from None
    except AttributeError as error:
        if not isinstance(error.obj, Config) or error.name is None:
            raise  # The experiment file has a bug, for which a traceback is more useful than one line.
        raise UserError(f"{_location(path, error)}: {error.obj.unknown_key_message(error.name)}") from None
    if not isinstance(config, Config):
        raise UserError(
            f"{path}: get_config returns a {type(config).__name__}. It must return the Config from default_config()."
        )
    return change(config, overrides)


def find_experiment(name: str) -> str:
    """Returns the path of an experiment.

    Args:
      name: a file, or the name of a packaged experiment.

    Raises:
      UserError: there is neither; lists where packaged experiments were looked for.
    """
    packaged = {path.stem: str(path) for folder in FOLDERS for path in sorted(folder.glob("*.py"))}
    packaged.pop("__init__", None)
    if pathlib.Path(name).is_file():
        return name
    if name in packaged:
        return packaged[name]
    nearest = difflib.get_close_matches(pathlib.Path(name).stem, packaged, 1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"Choose from {', '.join(sorted(packaged))}."
    folders = " or ".join(map(str, FOLDERS))
    raise UserError(f"--config: {name} is neither a file nor an experiment in {folders}. {hint}")


def read_argument(argument: str, *known: str | Sequence[str]) -> set[str]:
    """Returns the set of comma-separated words in the argument of an experiment.

    Args:
      argument: the argument of get_config, such as "s,debug".
      known: the allowed words. The words of one sequence exclude each other.

    Raises:
      UserError: a word is unknown, or two words exclude each other.
    """
    groups = [(group,) if isinstance(group, str) else tuple(group) for group in known]
    words = set(argument.split(",")) if argument else set()
    for word in sorted(words - {word for group in groups for word in group}):
        raise UserError(
            f":{word} is unknown. Choose from {', '.join(f':{word}' for group in groups for word in group)}."
        )
    for group in groups:
        if len(words & set(group)) > 1:
            raise UserError(f":{argument} has more than one of {', '.join(group)}. Use only one of them.")
    return words


def debug_variant(config: Config, network: str = "") -> Config:
    """Turns an experiment into its debug variant and returns it.

    The variant has a tiny network, small crops and batches, little synthetic data and 20 steps. The other keys stay.

    Args:
      config: the experiment, which is changed in place.
      network: name of the tiny network, if it is not the name of the network with "tiny" as its last word.
    """
    config.model.name = network or f"{config.model.name.rsplit('_', 1)[0]}_tiny"
    if config.model.name == "mae_tiny":
        config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 64, 1, 4
    config.input_size = (128, 96)
    config.batch_size, config.eval_batch_size = 8, 8
    config.steps, config.log_steps, config.checkpoint_steps = 20, 5, 10
    config.synthetic_train, config.synthetic_eval = 64, 16
    return config


def change(config: Config, overrides: Sequence[str]) -> Config:
    """Applies overrides of the command line to a configuration in place, checks all values and returns it.

    Args:
      config: the configuration to change.
      overrides: KEY=VALUE texts. A key in a group is written GROUP.KEY. Of two values for a key the last one counts.

    Raises:
      UserError: a key is unknown, or a value has the wrong type or is outside the allowed range.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--config.{key}: has no value. Write --config.{key}=VALUE.")
        *groups, last = key.split(".")
        group, prefix = config, "--config."
        for name in groups:
            if name not in group:
                raise UserError(prefix + group.unknown_key_message(name))
            if not isinstance(group[name], Config):
                raise UserError(f"{prefix}{name}: is not a group and has no key {last}. Write --config.{name}=VALUE.")
            group, prefix = group[name], f"{prefix}{name}."
        try:
            group[last] = _read_value(text, group.get(last))
        except UserError as error:
            raise UserError(f"{prefix}{error}") from None
    _expand_home(config)
    check(config)
    return config


def _expand_home(config: Config) -> None:
    """Replaces a leading ~ of every text, which can only be a path, by the home folder, in place."""
    for key, value in config.items():
        if isinstance(value, Config):
            _expand_home(value)
        elif isinstance(value, str):
            config[key] = os.path.expanduser(value)


def _read_value(text: str, old: Any) -> Any:
    """Returns the value that the text of an override stands for.

    It is the text itself for a key that holds a string (`old`), otherwise the Python literal that the text is, if any.
    """
    if isinstance(old, str):
        return text
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiment", path)
    if spec is None or spec.loader is None:
        raise UserError(
            "is not a Python file. Give a .py file that defines get_config, as configs/synthetic.py does, or the name "
            "of a packaged experiment, such as synthetic."
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError("has no function get_config. See the packaged experiment synthetic for an example.")
    return module


def _location(path: str, error: Exception) -> str:
    """Returns the path of an experiment file, and the line in it that raised the error if one did, for a message."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == os.path.abspath(path)]
    return f"{path}, line {lines[-1]}" if lines else path
