"""Atomic writes: a file appears under its name complete or not at all, even after a crash or on a full disk.

Also reading of JSON, file names that are not too long, and their natural order.
"""

import contextlib
import glob
import hashlib
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator

from aggpose_jax.errors import UserError


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, whose file replaces `path` when the block ends without an exception.

    The temporary file is flushed to the disk before it is renamed. If the block fails, the temporary file is removed
    and an older file at `path` stays. Missing parent folders are created. The temporary name contains the process id,
    so that several processes can write the same file without disturbing each other.

    Raises:
      OSError: writing or renaming the file failed. The exception always has a file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{shorten(path.name)}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # The error of a full disk comes without a file name.
        raise
    finally:
        temporary.unlink(missing_ok=True)


def shorten(name: str, size: int = 200) -> str:
    """Returns a file name of at most `size` bytes, to which a suffix can be added; a longer name ends in its digest."""
    if len(os.fsencode(name)) <= size:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return os.fsencode(name)[: size - len(digest) - 1].decode(errors="ignore") + f"-{digest}"


def natural_order(path: str | pathlib.PurePath) -> list:
    """Returns a sorting key by which numbers in the parts of a path are compared as numbers, so that 2 precedes 10."""
    parts = pathlib.PurePath(path).parts
    return [[int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"([0-9]+)", part))] for part in parts]


def remove_leftovers(path: pathlib.Path) -> None:
    """Removes the temporary files that killed processes of `atomic_path` left beside `path`."""
    for leftover in path.parent.glob(f".{glob.escape(shorten(path.name))}.*.partial"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: pathlib.Path, content: bytes | memoryview) -> None:
    """Writes a file with this content atomically, see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file in UTF-8 atomically, without converting line endings."""
    write_bytes(path, text.encode())


def read_json(file: pathlib.Path) -> object:
    """Reads a JSON file.

    Raises:
      UserError: the file cannot be read or is not valid JSON.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}); replace the file") from error
    except RecursionError:
        raise UserError(f"{file} is nested too deeply; replace the file") from None


def write_json(path: pathlib.Path, content: object, indent: int | None = None) -> None:
    """Writes a JSON file atomically, on one line if `indent` is None, otherwise indented by that many spaces."""
    write_text(path, to_json(content, indent) + "\n")


def to_json(content: object, indent: int | None = None) -> str:
    """Returns content as JSON. NaN and infinity, which JSON does not have, become null."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: object) -> object:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
