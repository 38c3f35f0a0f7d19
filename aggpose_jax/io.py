"""Atomic writes: a file appears complete under its name or not at all, even after a crash or a full disk."""

import contextlib
import glob
import json
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def atomic_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path` to write to; it replaces `path` when the block ends without an exception.

    The temporary file is flushed to the disk first. If the block fails it is removed, and an older file at `path`
    stays. Missing folders are made. The temporary name holds the process id, so processes do not disturb each other.

    Raises:
      OSError: naming a file, if the file system fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # that of a full disk names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: pathlib.Path) -> None:
    """Removes the temporary files that killed processes left beside `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        left.unlink(missing_ok=True)


def write_bytes(path: pathlib.Path, content: bytes | memoryview) -> None:
    """Writes a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a UTF-8 text file atomically, without changing its line ends."""
    write_bytes(path, text.encode())


def write_json(path: pathlib.Path, content: object, indent: int | None = None) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(content, indent=indent) + "\n")
