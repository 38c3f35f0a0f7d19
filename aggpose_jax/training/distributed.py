"""Several processes that train one network together: how they find each other, share work and end."""

import jax
from jax.experimental import multihost_utils


def is_first() -> bool:
    """This is the process that writes what is written once."""
    return jax.process_index() == 0


def wait_for_all(place: str) -> None:
    """Returns when every process has come to this place, a name of its own."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)
