"""An experiment of configs/ and the command line become a configuration."""

import ast
import importlib.util
import os
import pathlib
import traceback
from collections.abc import Sequence
from typing import Any

from aggpose_jax.config.config import Config
from aggpose_jax.config.schema import check
from aggpose_jax.errors import UserError

MOVED = {  # what experiments of earlier versions import, and what they write now
    "aggpose_jax.training.config": "write `from aggpose_jax.config import default_config`; ",
}


def read_experiment(name: str | None, overrides: Sequence[str] = ()) -> Config:
    """The configuration of an experiment.

    Args:
      name: FILE, or FILE:ARGUMENT for its get_config(ARGUMENT).
      overrides: KEY=VALUE, as of `change`.

    Raises:
      UserError: there is no such file, or it or an override sets what is no key or no value of it.
    """
    if not name:
        raise UserError("--config: give an experiment, such as --config configs/synthetic.py")
    path, *argument = name.split(":", 1)
    try:
        config = _load(path).get_config(*argument)
    except UserError as error:
        raise UserError(f"{_place(path, error)}: {error}") from None
    except ImportError as error:
        if error.name is None or not error.name.startswith("aggpose_jax."):
            raise
        message, _, _ = str(error).partition(" (")
        hint = MOVED.get(error.name, "")
        raise UserError(f"{_place(path, error)}: {message}; {hint}CHANGELOG.md lists what moved") from None
    except AttributeError as error:
        if not isinstance(error.obj, Config):
            raise  # a defect of the file
        raise UserError(f"{_place(path, error)}: {error.obj.unknown(error.name)}") from None
    if not isinstance(config, Config):
        raise UserError(f"{path}: get_config returns a {type(config).__name__}; return what default_config() gave")
    return change(config, overrides)


def read_argument(argument: str, *known: str | Sequence[str]) -> set[str]:
    """Returns the words of the argument of an experiment, which commas separate.

    Args:
      argument: of get_config, such as "s,debug".
      known: words that it may have; of a sequence of words it may have one.

    Raises:
      UserError: a word is unknown, or there are two of those of which there may be one.
    """
    groups = [(group,) if isinstance(group, str) else tuple(group) for group in known]
    words = set(argument.split(",")) if argument else set()
    for word in sorted(words - {word for group in groups for word in group}):
        raise UserError(f":{word} is unknown; known are {', '.join(f':{word}' for group in groups for word in group)}")
    for group in groups:
        if len(words & set(group)) > 1:
            raise UserError(f":{argument} has more than one of {', '.join(group)}; give one")
    return words


def debug_variant(config: Config) -> Config:
    """Returns the experiment made small: a tiny network and 20 steps, the rest as it is."""
    family = config.model.name.rsplit("_", 1)[0]
    config.model.name = f"{family}_tiny"
    if family == "mae":
        config.model.decoder_width, config.model.decoder_depth, config.model.decoder_heads = 64, 1, 4
    config.input_size = (128, 96)
    config.batch_size, config.eval_batch_size = 8, 8
    config.steps, config.log_steps, config.checkpoint_steps = 20, 5, 10
    config.synthetic_train, config.synthetic_eval = 64, 16
    return config


def change(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with KEY=VALUE of the command line, a dot in KEY for a key in a group, and checked.

    Raises:
      UserError: for an unknown key, a value of another type or one that makes no sense.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--config.{key}: has no value; write --config.{key}=VALUE")
        *groups, last = key.split(".")
        group, prefix = config, "--config."
        for name in groups:
            if name not in group:
                raise UserError(prefix + group.unknown(name))
            if not isinstance(group[name], Config):
                raise UserError(f"{prefix}{name}: is one value and has no key {last}; set it as --config.{name}=VALUE")
            group, prefix = group[name], f"{prefix}{name}."
        try:
            group[last] = _read_value(text, group.get(last))
        except UserError as error:
            raise UserError(f"{prefix}{error}") from None
    check(config)
    return config


def _read_value(text: str, old: Any) -> Any:
    if isinstance(old, str):
        return text
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def _load(path: str):
    spec = importlib.util.spec_from_file_location("experiment", path)
    if spec is None or not pathlib.Path(path).is_file():
        raise UserError("is no Python file; the experiments are in configs/")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError("has no function get_config; see configs/synthetic.py")
    return module


def _place(path: str, error: Exception) -> str:
    """The file and, if the error comes from one, the line of it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == os.path.abspath(path)]
    return f"{path}, line {lines[-1]}" if lines else path
