"""Walks through a user's folders: their files in natural order, without what is hidden and what this package wrote."""

import json
import os
import pathlib
from collections.abc import Iterator, Sequence

from aggpose_jax import io

MANIFESTS = "manifest*.json"  # pattern of the files by which a folder of results of `predict` is recognised


def folders_of_results(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the real path of every folder within a folder to which a job has written its results."""
    manifests = (path for path in folder.rglob(MANIFESTS) if path.parent != folder and _is_manifest(path))
    yield from sorted({path.parent.resolve() for path in manifests})


def _is_manifest(path: pathlib.Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"settings", "done", "failed"} <= content.keys()


def visible_files(folder: pathlib.Path, excluded: Sequence[pathlib.Path] = ()) -> Iterator[pathlib.Path]:
    """Yields the files in a folder and its folders in natural order, without hidden and excluded ones."""
    for path in sorted(folder.rglob("*"), key=io.natural_order):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and not path.is_dir() and not any(_is_in(path, other) for other in excluded):
            yield path


def _is_in(path: pathlib.Path, folder: pathlib.Path) -> bool:
    """Returns whether a file lies in a folder, which is absolute and without links."""
    return folder in pathlib.Path(os.path.realpath(path.parent), path.name).parents
