"""Writes and verifies the checksum manifest of a folder: the SHA-256 of every file.

Training writes a manifest into every checkpoint. Evaluation and prediction verify it too, so this module does not
depend on training.
"""

import hashlib
import pathlib

from aggpose_jax import io

MANIFEST = "SHA256SUMS"  # name of the manifest; the program sha256sum uses the same format and can verify it


def write_manifest(folder: pathlib.Path) -> None:
    """Writes the manifest of a folder atomically: an interrupted write leaves the folder without a manifest."""
    io.write_text(folder / MANIFEST, _manifest(folder))


def has_manifest(folder: pathlib.Path) -> bool:
    """Returns whether the folder has a manifest, without verifying it."""
    return (folder / MANIFEST).exists()


def find_damage(folder: pathlib.Path) -> str | None:
    """Returns a message that names the files of a folder that differ from its manifest, or None if all agree.

    Changed, missing and added files are named, and a file that cannot be read.
    """
    try:
        stored = (folder / MANIFEST).read_bytes()
        found = _manifest(folder).encode()
    except OSError as error:
        return f"{error.filename or folder}: cannot read ({error.strerror})"
    if stored == found:
        return None
    listed, present = _by_name(stored), _by_name(found)
    names = sorted(name for name in listed.keys() | present.keys() if listed.get(name) != present.get(name))
    files = ", ".join(f"{name} {_change(name, listed, present)}" for name in names)
    # If every file agrees, the manifest itself was changed.
    return f"{folder}: {files or f'{MANIFEST} has changed'}"


def _manifest(folder: pathlib.Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and MANIFEST not in path.name)
    return "".join(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_name(manifest: bytes) -> dict[str, str]:
    lines = manifest.decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _change(name: str, listed: dict[str, str], present: dict[str, str]) -> str:
    if name not in present:
        return "is missing"
    return "has changed" if name in listed else f"is not in {MANIFEST}"
