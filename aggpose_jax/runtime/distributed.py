"""Several processes that train one network together: how they find each other, share work, and end."""

import contextlib
import glob
import importlib.util
import itertools
import multiprocessing
import os
import sys
import traceback
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from aggpose_jax.errors import UserError

HEARTBEAT_SECONDS = 30  # without a sign of life of one process, after which the others end
MEETING_SECONDS = 3600  # to wait for a process that lives and is late
FLAGS = "give --coordinator=HOST:PORT, --processes=COUNT and --process=INDEX"

_places = itertools.count()


def launcher(environment: Mapping[str, str]) -> str | None:
    """What started this process as one of several, if JAX knows how to find the others there."""
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NODELIST" in environment:
        return "SLURM"
    if importlib.util.find_spec("libtpu") and (glob.glob("/dev/accel*") or glob.glob("/dev/vfio/*")):
        return "TPU"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return "Kubernetes"
    return None


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the processes of this run, if it has several; comes before anything that touches a device.

    Args:
      coordinator: HOST:PORT of process 0, or None to find it where `launcher` knows how.
      processes: how many; 1 asks no launcher.
      process: index of this one.

    Raises:
      UserError: part of this is missing, or the others cannot be found.
    """
    given = [coordinator, processes, process]
    if processes == 1:
        return
    if all(value is not None for value in given):
        if not 0 <= process < processes:
            raise UserError(f"--process={process}: is none of {processes} processes; count from 0")
        _initialize(*given, cluster_detection_method="deactivate")
    elif any(value is not None for value in given):
        raise UserError(f"of several processes all must be known: {FLAGS}")
    elif name := launcher(os.environ):
        try:
            _initialize()
        except Exception as error:  # whatever the launcher's detection meets
            raise UserError(
                f"{name}: the other processes were not found ({error}); {FLAGS}, or --processes=1"
            ) from error


def _initialize(*args, **kwargs) -> None:
    jax.distributed.initialize(*args, heartbeat_timeout_seconds=HEARTBEAT_SECONDS, **kwargs)


def is_primary() -> bool:
    """This is the process that writes what is written once."""
    return jax.process_index() == 0


def share() -> tuple[int, int]:
    """(index, count) of this process, as the shares of data are counted."""
    return jax.process_index(), jax.process_count()


def wait_for_all(place: str) -> None:
    """Returns when every process has come to this place; each passes the same places in the same order.

    Devices that exchange arrays wait half a minute for each other, and no more. So processes meet here where one may
    be later than that: after compiling, reading or writing.
    """
    if jax.process_count() == 1:
        return
    import orbax.checkpoint as ocp  # here, since prediction does without

    meet = ocp.multihost.get_barrier_sync_fn()
    meet(key=f"{place} {next(_places)}", timeout_ms=MEETING_SECONDS * 1000)


def own_rows(array: jax.Array) -> np.ndarray:
    """The rows, of an array split along its leading axis, that lie on devices of this process."""
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def join_batches(batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The shares of batches of all processes put together.

    Args:
      batches: arrays [n, b, ...]: b examples of each of n batches, those of this process; alike on each.

    Returns:
      Arrays [n, processes · b, ...], the same on every process.
    """
    if jax.process_count() == 1:
        return batches
    wait_for_all("batches are joined")
    return {name: _join(array) for name, array in batches.items()}


def _join(array: np.ndarray) -> np.ndarray:
    # As bytes, since on devices doubles and long integers would lose half of theirs.
    raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    shares = np.asarray(multihost_utils.process_allgather(raw))
    parts = [np.frombuffer(one.tobytes(), array.dtype).reshape(array.shape) for one in shares]
    return np.concatenate(parts, axis=1)


@contextlib.contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ends one of several processes at its first error, without the usual wait for the others, which may hang.

    The others notice: their next exchange fails, or the heartbeats of this process.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1:
            raise
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
            print("error: this process, or another one of the run, failed; start all of them again", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)
