"""Is a folder still what was written? A manifest of the SHA-256 of every file says so."""

import hashlib
import os
import pathlib

MANIFEST = "SHA256SUMS"  # in the form of the program sha256sum, which can check it too


def seal(folder: pathlib.Path) -> None:
    """Writes the manifest of a folder. It appears when it is whole; until then the folder has none."""
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(_manifest(folder))
    os.replace(partial, folder / MANIFEST)


def is_sealed(folder: pathlib.Path) -> bool:
    """A folder has a manifest; whether it is right is another question."""
    return (folder / MANIFEST).exists()


def fault(folder: pathlib.Path) -> str | None:
    """What is wrong with a sealed folder, naming the files; None if every file is as it was, and none came or went."""
    try:
        stored = (folder / MANIFEST).read_bytes()
        found = _manifest(folder).encode()
    except OSError as error:
        return f"{error.filename or folder}: cannot be read ({error.strerror})"
    if stored == found:
        return None
    listed, there = _by_name(stored), _by_name(found)
    names = sorted(name for name in listed.keys() | there.keys() if listed.get(name) != there.get(name))
    files = ", ".join(f"{name} {_change(name, listed, there)}" for name in names)
    # What no file explains is in the manifest itself.
    return f"{folder}: {files or f'{MANIFEST} is not as written'}"


def _manifest(folder: pathlib.Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and MANIFEST not in path.name)
    return "".join(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_name(manifest: bytes) -> dict[str, str]:
    lines = manifest.decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _change(name: str, listed: dict[str, str], there: dict[str, str]) -> str:
    if name not in there:
        return "is missing"
    return "is not as written" if name in listed else f"is not in {MANIFEST}"
