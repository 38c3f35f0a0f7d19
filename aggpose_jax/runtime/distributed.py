"""Multi-process training: initialisation, barriers, exchange of arrays between processes, and exit on errors."""

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

HEARTBEAT_SECONDS = 30  # time without a heartbeat of one process after which the others exit
BARRIER_SECONDS = 3600  # longest wait at a barrier for other processes that are alive but late
FLAGS = "give --coordinator=HOST:PORT, --processes=COUNT and --process=INDEX"

_barrier_numbers = itertools.count()


def detect_launcher(environment: Mapping[str, str]) -> str | None:
    """Returns the name of the launcher that started this process as one of several, if JAX supports it.

    Args:
      environment: environment variables of this process.

    Returns:
      "SLURM", "TPU" or "Kubernetes"; None if this is a single process or the launcher is unknown.
    """
    if int(environment.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NODELIST" in environment:
        return "SLURM"
    if importlib.util.find_spec("libtpu") and (glob.glob("/dev/accel*") or glob.glob("/dev/vfio/*")):
        return "TPU"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return "Kubernetes"
    return None


def connect(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Connects the processes of this run if there are several; must be called before any use of a device.

    Args:
      coordinator: HOST:PORT of process 0; None finds it through the launcher, if `detect_launcher` knows it.
      processes: number of processes; 1 ignores the launcher, None asks it.
      process: index of this process; None asks the launcher.

    Raises:
      UserError: some of the arguments are missing, or the other processes cannot be found.
    """
    if processes == 1:
        return
    if coordinator is not None and processes is not None and process is not None:
        if not 0 <= process < processes:
            raise UserError(f"--process={process}: not the index of one of {processes} processes; count from 0")
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method="deactivate",
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    elif any(value is not None for value in (coordinator, processes, process)):
        raise UserError(f"several processes need all three flags; {FLAGS}")
    elif name := detect_launcher(os.environ):
        try:
            jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
        except Exception as error:  # the detection of a launcher raises errors of any type
            raise UserError(f"{name}: cannot find the other processes ({error}); {FLAGS}, or --processes=1") from error


def is_primary() -> bool:
    """Returns whether this is process 0, which writes logs and checkpoints."""
    return jax.process_index() == 0


def process_shard() -> tuple[int, int]:
    """Returns the index of this process and the number of processes: each process reads the data shard of its index."""
    return jax.process_index(), jax.process_count()


def wait_for_all(name: str) -> None:
    """Blocks until every process has called this; a barrier. All processes must call it in the same order.

    Devices that exchange arrays wait for each other for half a minute at most. So a barrier is needed where one process
    may be later than that: after compiling, reading or writing.

    Args:
      name: name of the barrier, for error messages.
    """
    if jax.process_count() == 1:
        return
    import orbax.checkpoint as ocp  # imported here, since prediction does not need it

    barrier = ocp.multihost.get_barrier_sync_fn()
    barrier(key=f"{name} {next(_barrier_numbers)}", timeout_ms=BARRIER_SECONDS * 1000)


def local_rows(array: jax.Array) -> np.ndarray:
    """Returns the rows of an array, sharded along its leading axis, that are on devices of this process."""
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def gather_batches(batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns batches concatenated from the parts of all processes.

    Args:
      batches: arrays [n, b, ...]: the b examples of this process in each of n batches; equal shapes on all processes.

    Returns:
      Arrays [n, processes · b, ...], the same on every process.
    """
    if jax.process_count() == 1:
        return batches
    wait_for_all("batches are gathered")
    return {name: _gather(array) for name, array in batches.items()}


def _gather(array: np.ndarray) -> np.ndarray:
    # Exchanged as bytes, since JAX would convert 64-bit numbers to 32 bits on the devices.
    raw = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    gathered = np.asarray(multihost_utils.process_allgather(raw))
    parts = [np.frombuffer(part.tobytes(), array.dtype).reshape(array.shape) for part in gathered]
    return np.concatenate(parts, axis=1)


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Exits one of several processes at its first error, without waiting for the other processes, which may hang.

    The other processes exit too, because their next collective operation or the heartbeat of this process fails. In a
    single process errors are raised as usual.
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
            print("error: this process or another process of the run failed; restart all of them", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)
