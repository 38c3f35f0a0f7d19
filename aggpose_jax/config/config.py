"""The configuration class: a ConfigDict whose keys are locked and whose values keep their types."""

import difflib
from typing import Any

import ml_collections

from aggpose_jax.errors import UserError

_TYPE_NAMES = {int: "an integer", float: "a number", bool: "True or False", str: "a string", tuple: "a tuple"}


class Config(ml_collections.ConfigDict):
    """A ConfigDict that raises a UserError for an unknown key and for a value of another type."""

    def __setitem__(self, key: str, value: Any) -> None:
        if self.is_locked:
            if key not in self:
                raise UserError(self.unknown_key_message(key))
            value = _converted(key, value, self[key])
        super().__setitem__(key, value)

    def unknown_key_message(self, key: str) -> str:
        """Returns the error message for a key that does not exist; it names the most similar existing key."""
        (nearest,) = difflib.get_close_matches(key, self.keys(), n=1, cutoff=0)
        return f"{key}: there is no such key. Did you mean {nearest}?"

    def flat(self) -> dict[str, Any]:
        """Returns all values of the configuration, also those in groups, by dotted key, such as "model.name"."""
        flat: dict[str, Any] = {}
        for key, value in self.items():
            group = value.flat() if isinstance(value, Config) else None
            flat |= {key: value} if group is None else {f"{key}.{name}": v for name, v in group.items()}
        return flat


def _converted(key: str, value: Any, old: Any) -> Any:
    """Returns a new value of a key, converted to the type of its old value: an int to a float, a list to a tuple.

    Raises:
      UserError: the value has another type, or the key is a group.
    """
    if isinstance(old, Config):
        raise UserError(f"{key}: is a group of keys. Set one of its keys, such as {key}.{next(iter(old))}.")
    if isinstance(old, float) and type(value) is int:
        return float(value)
    if isinstance(old, tuple) and isinstance(value, list | tuple):
        return tuple(_converted(key, element, old[0]) for element in value) if old else tuple(value)
    if type(value) is not type(old):
        raise UserError(f"{key}: {value!r} is not {_TYPE_NAMES[type(old)]}. Set it to a value such as {old!r}.")
    return value
