"""Reports a disk that is full, read-only or disconnected as a one-line error."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import checkpoints

STORAGE_ERRNOS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),  # full or not writable
    *(errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT),  # disconnected or failing
}


@contextlib.contextmanager
def as_user_error(workdir: pathlib.Path) -> Iterator[None]:
    """Converts a file system error in the context to a UserError with the workdir, the reason and the last checkpoint.

    Args:
      workdir: folder of the run.

    Raises:
      UserError: replaces a file system error; other errors are passed on.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = _reason(error, workdir)
        if reason is None:
            raise
        step = checkpoints.last_finished(workdir)
        state = "No checkpoint was finished yet" if step is None else f"The checkpoint of step {step} is intact"
        raise UserError(
            f"{workdir}: cannot write ({reason}). {state}. Fix this and rerun the same command to resume."
        ) from error


def _reason(error: Exception, workdir: pathlib.Path) -> str | None:
    """Returns the file system's message, such as "No space left on device"; None if the error has another cause."""
    if isinstance(error, OSError):
        inside = error.filename is not None and workdir.absolute() in pathlib.Path(error.filename).absolute().parents
        return error.strerror if error.errno in STORAGE_ERRNOS or inside else None
    # TensorStore (0.1.86) raises a plain ValueError with the errno in its text only, without an attribute or a cause.
    # Probing the disk by writing a file instead would mislead: the failed write has released its space, so that a small
    # file fits on a full disk; and a disk that happens to be full would be blamed for any other ValueError.
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(number[1])) if number else None
