"""Reports a disk that is full, read-only or gone as one line."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import checkpoints

STORAGE_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),  # full, or not ours to write
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT),  # gone
}


@contextlib.contextmanager
def reported(workdir: pathlib.Path) -> Iterator[None]:
    """Raises an error of the file system in the context as one line: the workdir, the reason, the last checkpoint.

    Raises:
      UserError: instead of an error of the file system; other errors pass through.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = _reason(error, workdir)
        if reason is None:
            raise
        step = checkpoints.last_finished(workdir)
        safe = "no checkpoint was finished yet" if step is None else f"the checkpoint of step {step} is intact"
        raise UserError(
            f"{workdir}: cannot write ({reason}); {safe}; fix this and rerun the same command to resume"
        ) from error


def _reason(error: Exception, workdir: pathlib.Path) -> str | None:
    """The message of the file system, or None if the error is not one of it."""
    if isinstance(error, OSError):
        inside = error.filename is not None and workdir.absolute() in pathlib.Path(error.filename).absolute().parents
        return error.strerror if error.errno in STORAGE_ERRNOS or inside else None
    # TensorStore (0.1.86) raises a plain ValueError that has the number in its text alone, without attribute or cause.
    # Writing a probe into the workdir instead would mislead: the failed write gave back what it had taken, so a small
    # file fits on a full disk, and a disk that is full by chance would be blamed for any other ValueError.
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else None
