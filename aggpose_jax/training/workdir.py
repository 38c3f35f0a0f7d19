"""The folder of a run stays with its own configuration."""

import pathlib
import reprlib
from typing import Any

from aggpose_jax.config import Config, flat_keys, load_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed


def open_workdir(workdir: pathlib.Path, config: Config) -> None:
    """Makes the folder of a run and writes config.json, unless it holds another experiment.

    Of several processes the first writes; the others look and wait for it.

    Raises:
      UserError: it holds another experiment, or cannot be written.
    """
    file = workdir / "config.json"
    if file.exists():
        _refuse_another(workdir, load_config(file).flat(), config.flat())
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if distributed.is_primary():
            save_config(config, file)
    except OSError as error:
        raise UserError(f"{workdir}: cannot be written ({error.strerror}); give another --workdir") from None
    distributed.wait_for_all("the workdir is open")


def _refuse_another(workdir: pathlib.Path, stored: dict[str, Any], asked: dict[str, Any]) -> None:
    free = {name for name, key in flat_keys().items() if key.may_change}
    different = [
        f"{name} {reprlib.repr(stored.get(name))} there, {reprlib.repr(asked.get(name))} here"
        for name in (stored.keys() | asked.keys()) - free
        if stored.get(name) != asked.get(name)
    ]
    if different:
        raise UserError(
            f"{workdir}: holds another experiment ({'; '.join(sorted(different))}); "
            "give another --workdir, or the configuration of this one"
        )
