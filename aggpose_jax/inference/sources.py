"""Finds the videos and images of a batch job in files, folders and lists of paths."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aggpose_jax.data import images, videos
from aggpose_jax.errors import UserError

SUFFIXES = (*images.SUFFIXES, *videos.SUFFIXES)
LIST_SUFFIX = ".txt"  # suffix of a text file that lists videos, images or folders, one path per line


class Source(NamedTuple):
    """One video, or all images of a job.

    Attributes:
      name: name of its folder of results inside the job's folder.
      paths: path of the video, or paths of the images.
      files: names of the images; empty for a video.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    files: tuple[str, ...] = ()


def find_sources(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> list[Source]:
    """Returns a source for each video in files, folders and lists, and one source for all images in them.

    Folders are searched recursively, without hidden files and without the contents of `out`.

    Args:
      inputs: videos, images, folders, and text files (.txt) with one path per line.
      out: folder of the results.

    Raises:
      UserError: a path does not exist or is of an unsupported type, a list is not a text file, the inputs contain no
        video or image, or the results of two sources would have the same name.
    """
    found, image_files = [], []
    for path, name in _expand(inputs, out):
        if path.suffix.lower() in images.SUFFIXES:
            image_files.append((path, name))
        else:
            found.append(Source(name.removesuffix(path.suffix), (path,)))
    if image_files:
        paths, names = zip(*image_files, strict=True)
        found.append(Source("images", paths, names))
    if not found:
        raise UserError(f"{', '.join(map(str, inputs))}: no video or image found; give at least one")
    by_name: dict[str, Source] = {}
    for source in found:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise UserError(f"{other.paths[0]} and {source.paths[0]} would both be written to {out / source.name}; "
                            "rename one of them, or predict them with different --out folders")  # fmt: skip
    return found


def _expand(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Yields every file with its name: its path relative to the given folder, or its file name if given directly."""
    for given in inputs:
        if given.is_dir():
            for path in sorted(given.rglob("*")):
                name = path.relative_to(given)
                hidden = any(part.startswith(".") for part in name.parts)
                if path.suffix.lower() in SUFFIXES and not hidden and out not in path.parents:
                    yield path, name.as_posix()
        elif not given.is_file():
            raise UserError(f"{given}: no such file or folder; check the path")
        elif given.suffix.lower() == LIST_SUFFIX:
            yield from _expand(_read_list(given), out)
        elif given.suffix.lower() in SUFFIXES:
            yield given, given.name
        else:
            supported = ", ".join((*SUFFIXES, LIST_SUFFIX))
            raise UserError(f"{given}: unsupported file type; give a video, an image or a list of paths ({supported})")


def _read_list(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as a list of paths ({error}); give a UTF-8 text file with one path per line"
        ) from error
    return [pathlib.Path(line.strip()) for line in lines if line.strip()]
