"""Simulation of a full disk and of folders that cannot be written."""

import contextlib
import ctypes
import resource
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Makes every write beyond `limit` bytes of a file fail with EFBIG inside the block.

    The limit also applies to pytest's own output file, so the block must be short.
    """
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)


def drop_privileges() -> None:
    """Removes CAP_DAC_OVERRIDE from programs that this process starts, so that read-only files bind root too."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP
