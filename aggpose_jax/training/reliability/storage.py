"""A disk that is full, read-only or gone becomes one line that says so."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator

from aggpose_jax.errors import UserError
from aggpose_jax.training import checkpoint

FAULTS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),  # full, or not ours to write
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT),  # gone
}


@contextlib.contextmanager
def faults_named(workdir: pathlib.Path) -> Iterator[None]:
    """Names the workdir and what is safe in it when the file system fails a run.

    Raises:
      UserError: instead of an error of the file system.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = _reason(error, workdir)
        if reason is None:
            raise
        step = checkpoint.last_finished(workdir)
        safe = "no checkpoint was finished yet" if step is None else f"the checkpoint of step {step} is whole"
        raise UserError(
            f"{workdir}: cannot be written ({reason}); {safe}; mend that, and give the same command again"
        ) from error


def _reason(error: Exception, workdir: pathlib.Path) -> str | None:
    """What the file system says, or None if this is no error of it; TensorStore puts the number into a ValueError."""
    if isinstance(error, OSError):
        inside = error.filename is not None and workdir.absolute() in pathlib.Path(error.filename).absolute().parents
        return error.strerror if error.errno in FAULTS or inside else None
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else None
