"""What a job predicts: videos, and images, from files, folders and lists of them."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aggpose_jax.data import images, videos
from aggpose_jax.errors import UserError

SUFFIXES = (*images.SUFFIXES, *videos.SUFFIXES)
LIST = ".txt"  # of paths, one a line


class Source(NamedTuple):
    """One video, or all images of a job.

    Attributes:
      name: of its folder in the job's.
      paths: of the video, or of the images.
      files: names of the images; empty for a video.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    files: tuple[str, ...] = ()


def find_sources(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> list[Source]:
    """The videos of files, folders and lists (.txt, a path a line), and one source of all their images.

    A folder is searched to the bottom, but for hidden files and what lies in `out`.

    Raises:
      UserError: a path is missing, of another kind or a list that is no text; nothing is there; two videos have one
        name.
    """
    found, pictures = [], []
    for path, name in _expand(inputs, out):
        if path.suffix.lower() in images.SUFFIXES:
            pictures.append((path, name))
        else:
            found.append(Source(name.removesuffix(path.suffix), (path,)))
    if pictures:
        paths, names = zip(*pictures, strict=True)
        found.append(Source("images", paths, names))
    if not found:
        raise UserError(f"{', '.join(map(str, inputs))}: no video and no image there; give some")
    by_name: dict[str, Source] = {}
    for source in found:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise UserError(f"{other.paths[0]} and {source.paths[0]} would both be written to {out / source.name}; "
                            "rename one, or give them different --out")  # fmt: skip
    return found


def _expand(inputs: Sequence[pathlib.Path], out: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Every file and its name: below the folder that was given, or alone."""
    for given in inputs:
        if given.is_dir():
            for path in sorted(given.rglob("*")):
                name = path.relative_to(given)
                hidden = any(part.startswith(".") for part in name.parts)
                if path.suffix.lower() in SUFFIXES and not hidden and out not in path.parents:
                    yield path, name.as_posix()
        elif not given.is_file():
            raise UserError(f"{given}: no such file or folder; check the path")
        elif given.suffix.lower() == LIST:
            yield from _expand(_listed(given), out)
        elif given.suffix.lower() in SUFFIXES:
            yield given, given.name
        else:
            known = ", ".join((*SUFFIXES, LIST))
            raise UserError(f"{given}: is neither a video nor an image nor a list of them; known are {known}")


def _listed(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of paths ({error}); give text, a path a line") from error
    return [pathlib.Path(line.strip()) for line in lines if line.strip()]
