"""Finds the videos and images of a batch job in files, folders and lists of paths."""

import collections
import itertools
import mimetypes
import os
import pathlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import NamedTuple

from aggpose_jax.data import folders, images, videos
from aggpose_jax.errors import UserError
from aggpose_jax.recordings.recording import PARTIAL

SUFFIXES = (*images.SUFFIXES, *videos.SUFFIXES)
LIST_SUFFIX = ".txt"  # suffix of a text file that lists videos, images or folders, one path per line


class Source(NamedTuple):
    """One video, or all images of a job.

    Attributes:
      name: name of its folder of results inside the job's folder. No source has a folder within that of another.
      paths: path of the video, or paths of the images.
      files: names of the images, all different; empty for a video.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    files: tuple[str, ...] = ()


class Found(NamedTuple):
    """What the inputs of a job contain.

    Attributes:
      sources: the videos, and one source for all images.
      skipped: images and videos of unsupported formats in folders.
      results: folders of results of other jobs, which were not searched.
    """

    sources: list[Source]
    skipped: list[pathlib.Path]
    results: list[pathlib.Path]


class _File(NamedTuple):
    path: pathlib.Path
    name: str  # path relative to the folder that was given, or the file name
    is_listed: bool = False  # named in a list, so that it is a source whatever its suffix

    def is_image(self) -> bool:
        return self.path.suffix.lower() in images.SUFFIXES

    def is_skipped(self) -> bool:
        return self.path.suffix.lower() not in SUFFIXES and not self.is_listed


def find_sources(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> Found:
    """Finds a source for each video in files, folders and lists, and one source for all images in them.

    Folders are searched recursively in natural order, in which 2 precedes 10, without hidden files, without the
    contents of `out` and without the results of other jobs. A file that is found twice counts once.

    Args:
      inputs: videos, images, folders, and text files (.txt) with one path per line. What a list names may be missing
        or no video: its source then fails when it is read.
      out: folder of the results.

    Raises:
      UserError: a path does not exist or is of an unsupported type, a list is not a text file, or the inputs contain no
        video or image.
    """
    found: dict[str, _File] = {}
    excluded = [out.resolve()]
    for file in _expand(inputs, excluded, set()):
        found.setdefault(os.path.realpath(file.path), file)
    skipped = [file.path for file in found.values() if file.is_skipped()]
    files = _with_different_names([file for file in found.values() if not file.is_skipped()])
    image_files = [file for file in files if file.is_image()]
    video_files = [file for file in files if not file.is_image()]
    names = _result_names([file.name for file in video_files])
    sources = [Source(name, (file.path,)) for name, file in zip(names, video_files, strict=True)]
    if image_files:
        taken = {*names, *_folders(names)}
        candidates = itertools.chain(["images"], (f"images_{number}" for number in itertools.count(2)))
        name = next(name for name in candidates if name not in taken)
        sources.append(Source(name, tuple(f.path for f in image_files), tuple(as_text(f.name) for f in image_files)))
    if not sources:
        raise UserError(f"{', '.join(map(str, inputs))}: no video or image found; give at least one")
    return Found(sources, skipped, excluded[1:])


def _is_media(path: pathlib.Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix.lower() in (".heic", ".heif", ".avif", ".dng") or (kind or "").startswith(("image/", "video/"))


def as_text(name: str) -> str:
    r"""Returns a file name as text that any file can hold: a backslash doubled, a byte that is not UTF-8 as \xNN."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def _expand(
    inputs: Sequence[pathlib.Path], excluded: list[pathlib.Path], lists: set[str], listed: bool = False
) -> Iterator[_File]:
    """Yields every file in inputs that is not in an excluded folder.

    Args:
      excluded: real paths of folders; those with results in the inputs are added.
      lists: real paths of the lists that were read already; those that are read are added.
      listed: whether a list names the inputs.
    """
    for given in inputs:
        suffix = given.suffix.lower()
        if given.is_dir():
            excluded += (found for found in folders.folders_of_results(given) if found not in excluded)
            for path in folders.visible_files(given, excluded):
                if path.suffix.lower() in SUFFIXES or _is_media(path):
                    yield _File(path, path.relative_to(given).as_posix())
        elif suffix == LIST_SUFFIX and given.is_file():
            if (real := os.path.realpath(given)) not in lists:
                lists.add(real)
                yield from _expand(_read_list(given), excluded, lists, listed=True)
        elif listed or (suffix in SUFFIXES and given.is_file()):
            yield _File(given, given.name, listed)
        elif not given.is_file():
            raise UserError(f"{given}: no such file or folder; check the path")
        else:
            supported = ", ".join((*SUFFIXES, LIST_SUFFIX))
            raise UserError(f"{given}: unsupported file type; give a video, an image or a list of paths ({supported})")


def _read_list(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Editors on Windows put a byte order mark first.
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read as a list of paths ({error}); give a UTF-8 text file with one path per line"
        ) from error
    return [pathlib.Path(line.strip()).expanduser() for line in lines if line.strip()]


def _with_different_names(files: list[_File]) -> list[_File]:
    """Returns files whose names all differ: if two are equal, all names are paths below the deepest common folder."""
    if len({file.name for file in files}) == len(files):
        return files
    paths = [os.path.abspath(file.path) for file in files]
    common = os.path.commonpath(list(map(os.path.dirname, paths)))
    return [_File(file.path, os.path.relpath(path, common)) for file, path in zip(files, paths, strict=True)]


def _result_names(names: list[str]) -> list[str]:
    """Returns the names of the folders of results of videos, none of which is within another.

    A name is that of the video without its suffix, or with it if another video, or a file of the job, has that name.
    """
    complete: set[str] = set()
    while True:
        short = [name if name in complete else name.removesuffix(pathlib.PurePath(name).suffix) for name in names]
        result = list(map(as_text, short))
        counts = collections.Counter([*result, "images"])
        parents = _folders(result)
        clashing = {
            name
            for name, text in zip(names, result, strict=True)
            if counts[text] > 1 or text in parents or text.startswith(PARTIAL) or fnmatch(text, folders.MANIFESTS)
        }
        if clashing <= complete:
            return result
        complete |= clashing


def _folders(names: Sequence[str]) -> set[str]:
    """Returns all folders in which named files lie."""
    return {str(folder) for name in names for folder in pathlib.PurePosixPath(name).parents}
