"""Files of variables."""

import pathlib
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax.io import atomic_path


def save(file: pathlib.Path, variables: Any) -> None:
    """Writes the variables of a network."""
    with atomic_path(file) as path, path.open("wb") as out:
        np.savez(out, **flatten_dict(variables, sep="/"))


def load(file: pathlib.Path) -> Any:
    """Reads variables that `save` wrote."""
    with np.load(file) as stored:
        return unflatten_dict(dict(stored), sep="/")
