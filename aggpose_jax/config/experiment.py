"""An experiment of configs/ and the command line become a configuration."""

import ast
import importlib.util
import pathlib
import traceback
from collections.abc import Sequence
from typing import Any

from aggpose_jax.config.schema import Config, check
from aggpose_jax.errors import UserError


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
    except AttributeError as error:
        if not isinstance(error.obj, Config):
            raise  # a defect of the file
        raise UserError(f"{_place(path, error)}: {error.obj.unknown(error.name)}") from None
    if not isinstance(config, Config):
        raise UserError(f"{path}: get_config returns a {type(config).__name__}; return what default_config() gave")
    return change(config, overrides)


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
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}, line {lines[-1]}" if lines else path
