"""A configuration: a ConfigDict whose keys are locked and whose values keep their types."""

import difflib
from typing import Any

import ml_collections

from aggpose_jax.errors import UserError

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", tuple: "a tuple"}


class Config(ml_collections.ConfigDict):
    """A ConfigDict that answers an unknown key and a value of another type with a UserError."""

    def __setitem__(self, key: str, value: Any):
        if self.is_locked:
            if key not in self:
                raise UserError(self.unknown(key))
            value = _of_type(key, value, self[key])
        super().__setitem__(key, value)

    def unknown(self, key: str) -> str:
        """The message that there is no such key."""
        (nearest,) = difflib.get_close_matches(key, self.keys(), n=1, cutoff=0)
        return f"{key}: no such key; the nearest is {nearest}"

    def flat(self) -> dict[str, Any]:
        """Values by dotted key."""
        flat = {}
        for key, value in self.items():
            inner = value.flat() if isinstance(value, Config) else None
            flat |= {key: value} if inner is None else {f"{key}.{name}": v for name, v in inner.items()}
        return flat


def _of_type(key: str, value: Any, old: Any) -> Any:
    """The value, if it can replace the old one."""
    if isinstance(old, Config):
        raise UserError(f"{key}: has keys of its own; set one of them, such as {key}.{next(iter(old))}")
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if isinstance(old, tuple) and isinstance(value, list | tuple):
        return tuple(_of_type(key, one, old[0]) for one in value) if old else tuple(value)
    if type(value) is not type(old):
        raise UserError(f"{key}: {value!r} is not {_WORDS[type(old)]}; give one, such as {old!r}")
    return value
