"""Opens the folder of a run (WORKDIR), in which only one experiment configuration can be trained."""

import pathlib
import reprlib
from typing import Any

from aggpose_jax.config import Config, flat_keys, load_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import distributed


def open_workdir(workdir: pathlib.Path, config: Config, has_batch_statistics: bool = False) -> Config | None:
    """Creates the folder of a run and writes its config.json, unless it contains another experiment.

    If there are several processes, process 0 writes; the others compare the configuration and wait for it.

    Args:
      workdir: folder of the run.
      config: configuration of the experiment.
      has_batch_statistics: whether the network computes statistics of each part of a batch, so that the number of
        parts, `accumulate`, belongs to the experiment.

    Returns:
      The configuration with which the run was trained before, or None for a new run.

    Raises:
      UserError: the folder contains another experiment, or cannot be written.
    """
    file, before = workdir / "config.json", None
    if file.exists():
        before = load_config(file)
        _refuse_another(workdir, before.flat(), config.flat(), {"accumulate"} if has_batch_statistics else set())
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if distributed.is_primary():
            save_config(config, file)
    except OSError as error:
        raise UserError(f"{workdir}: cannot write ({error.strerror}); give another --workdir") from None
    distributed.wait_for_all("workdir is open")
    return before


def _refuse_another(workdir: pathlib.Path, stored: dict[str, Any], current: dict[str, Any], fixed: set[str]) -> None:
    changeable = {name for name, key in flat_keys().items() if key.may_change} - fixed
    different = [
        f"{name} {reprlib.repr(stored.get(name))} in config.json, {reprlib.repr(current.get(name))} in this command"
        for name in (stored.keys() | current.keys()) - changeable
        if stored.get(name) != current.get(name)
    ]
    if different:
        raise UserError(
            f"{workdir}: contains another experiment ({'; '.join(sorted(different))}); "
            "give another --workdir, or the configuration of this run"
        )
