"""The folder of a batch job: a folder of results per source, and a manifest that lists the completed sources."""

import dataclasses
import os
import pathlib
import shutil

from aggpose_jax.errors import UserError
from aggpose_jax.inference.manifests import WHOLE, Manifest, Part, find, merge, read
from aggpose_jax.inference.sources import Source
from aggpose_jax.recordings.recording import PARTIAL


class JobFolder:
    """The folder of a batch job: a folder of results per source, and a manifest that lists the completed sources.

    Each part of a job that several machines share has a manifest of its own, and a folder for unfinished results.
    """

    def __init__(self, out: pathlib.Path, settings: dict, part: Part = WHOLE):
        """Opens a new folder, or that of an interrupted run, or that of another part of the same job.

        Raises:
          UserError: the folder has other files, or results with other settings or of parts of another number.
        """
        self._out, self._file, self._partial = out, out / part.manifest, out / f"{PARTIAL}{part.suffix}"
        _claim(out, part)
        self._others = merge(read(path) for path in find(out) if path != self._file)
        self._manifest = read(self._file) if self._file.exists() else Manifest(settings, {}, {})
        if not self._has_results():
            self._manifest = dataclasses.replace(self._manifest, settings=settings)
        for stored in (self._manifest, self._others):
            _check_settings(out, stored.settings or settings, settings)
        self._manifest.write(self._file)

    def _has_results(self) -> bool:
        return any((self._out / name).exists() for name in self._names())

    def _names(self) -> list[str]:
        """Returns the names of the sources of all parts that were done or have failed."""
        return [name for one in (self._manifest, self._others) for name in (*one.done, *one.failed)]

    def is_done(self, source: Source) -> bool:
        """True if a manifest lists complete results of the source and its files have not changed since."""
        entries = [one.done.get(source.name, {}) for one in (self._manifest, self._others)]
        return _fingerprint(source) in [entry.get("source") for entry in entries]

    def partial(self, source: Source) -> pathlib.Path:
        """Makes an empty folder for the results of a source while they are not complete, and returns its path.

        Raises:
          UserError: the final folder of the results contains those of another source, of an earlier run.
        """
        if inside := self._inside(source):
            raise UserError(f"{self._out / source.name}: contains the results of {inside[0]}; choose another --out")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir()
        return self._partial

    def complete(self, source: Source, counts: dict[str, int], errors: list[str]) -> None:
        """Moves the results of a source to their final folder and records it as done, or as failed if it has errors.

        Errors of single images do not prevent the results of the other images of the source.
        """
        self._forget(source)
        (self._out / source.name).parent.mkdir(parents=True, exist_ok=True)
        self._partial.rename(self._out / source.name)
        if errors:
            self._manifest.failed[source.name] = errors
        else:
            self._manifest.done[source.name] = {"source": _fingerprint(source), **counts}
        self._manifest.write(self._file)

    def fail(self, source: Source, errors: list[str]) -> None:
        """Records a source as failed and removes its results, including those of an earlier version of its files."""
        self._forget(source)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._manifest.failed[source.name] = errors
        self._manifest.write(self._file)

    def _inside(self, source: Source) -> list[str]:
        """Returns the names of sources of earlier runs whose results lie in the folder of this source."""
        return [name for name in self._names() if name.startswith(f"{source.name}/") and (self._out / name).exists()]

    def _forget(self, source: Source) -> None:
        self._manifest.done.pop(source.name, None)
        self._manifest.failed.pop(source.name, None)
        if not self._inside(source):
            shutil.rmtree(self._out / source.name, ignore_errors=True)


def _claim(out: pathlib.Path, part: Part) -> None:
    """Creates the folder of a job unless it is there; another part of the job may do so at the same time.

    Raises:
      UserError: the folder has other files, or the job is divided into another number of parts.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        occupied = any(not path.name.startswith(".") for path in out.iterdir())
    except OSError as error:
        raise UserError(f"{out} cannot be created ({error.strerror}); choose another folder") from error
    manifests = [path.name for path in find(out)]
    if occupied and not manifests:
        raise UserError(f"{out} holds other files; choose a new folder")
    if other := set(manifests) - {Part(index, part.count).manifest for index in range(part.count)}:
        raise UserError(
            f"{out} has {min(other)}, from a job of another number of parts; give the same N in --shard I/N, or choose"
            " another folder"
        )


def _check_settings(out: pathlib.Path, stored: dict, settings: dict) -> None:
    different = [key for key in {**settings, **stored} if stored.get(key) != settings.get(key)]
    if different:
        key = different[0]
        raise UserError(f"{out}: holds the results of another job ({key} was {stored.get(key)}, this job has "
                        f"{settings.get(key)}); choose another --out")  # fmt: skip


def _fingerprint(source: Source) -> list:
    """Returns path, size and modification time of each file of a source, which differ once one of them has changed."""
    return [[os.path.realpath(path), *_size_and_time(path)] for path in source.paths]


def _size_and_time(path: pathlib.Path) -> tuple[int, int]:
    try:
        return path.stat().st_size, path.stat().st_mtime_ns
    except OSError:  # The file is missing: the error is reported when the source is predicted.
        return -1, -1
