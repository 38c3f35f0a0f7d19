"""The table of the fastest forms of operations on accelerators, by device kind, as measured on such devices.

`launch/accelerator_report.sh` measures the forms on a device and writes the row of the table for it.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping

import jax

from aggpose_jax import io
from aggpose_jax.errors import UserError

FILE = pathlib.Path(__file__).with_suffix(".json")  # {device kind: {operation: form}}
ONE_DEVICE = ("pallas",)  # forms that XLA cannot divide among the devices that share a batch


def choose(operation: str, forms: Mapping[str, Callable]) -> Callable:
    """Returns the form of an operation that the table names for the first device, without an entry the first form.

    A form for one device is not chosen where there are several.

    Args:
      operation: key of the table.
      forms: the forms, which compute the same function, by name.

    Raises:
      UserError: the table names a form that does not exist.
    """
    kind, default = jax.devices()[0].device_kind, next(iter(forms))
    name = _table(FILE).get(kind, {}).get(operation, default)
    if name not in forms:
        raise UserError(f"{FILE}: {kind}: {operation} has no form {name!r}; write one of {', '.join(forms)}")
    return forms[default if name in ONE_DEVICE and jax.device_count() > 1 else name]


@functools.cache
def _table(file: pathlib.Path) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = io.read_json(file)  # type: ignore[assignment]
    return table
