"""The folder of a batch job: a folder of results per source, and a manifest that lists the completed sources."""

import json
import os
import pathlib
import shutil

from aggpose_jax import io
from aggpose_jax.data import writers
from aggpose_jax.data.folders import MANIFEST
from aggpose_jax.errors import UserError
from aggpose_jax.inference.sources import Source
from aggpose_jax.recordings.recording import PARTIAL


class JobFolder:
    """The folder of a batch job: a folder of results per source, and a manifest that lists the completed sources."""

    def __init__(self, out: pathlib.Path, settings: dict):
        self._out = out
        manifest = out / MANIFEST
        if manifest.exists():
            self._manifest = _read_manifest(manifest)
            if not self._has_results():
                self._manifest["settings"] = settings
            _check_settings(out, self._manifest["settings"], settings)
        else:
            writers.new_folder(out)
            self._manifest = {"settings": settings, "done": {}, "failed": {}}
        self._write()

    def _has_results(self) -> bool:
        names = [*self._manifest["done"], *self._manifest["failed"]]
        return any((self._out / name).exists() for name in names)

    def is_done(self, source: Source) -> bool:
        """True if the manifest lists complete results of the source and its files have not changed since."""
        return self._manifest["done"].get(source.name, {}).get("source") == _fingerprint(source)

    def partial(self, source: Source) -> pathlib.Path:
        """Makes an empty folder for the results of a source while they are not complete, and returns its path.

        Raises:
          UserError: the final folder of the results contains those of another source, of an earlier run.
        """
        if inside := self._inside(source):
            raise UserError(f"{self._out / source.name}: contains the results of {inside[0]}; choose another --out")
        folder = self._out / PARTIAL
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def complete(self, source: Source, counts: dict[str, int], errors: list[str]) -> None:
        """Moves the results of a source to their final folder and records it as done, or as failed if it has errors.

        Errors of single images do not prevent the results of the other images of the source.
        """
        self._forget(source)
        (self._out / source.name).parent.mkdir(parents=True, exist_ok=True)
        (self._out / PARTIAL).rename(self._out / source.name)
        if errors:
            self._manifest["failed"][source.name] = errors
        else:
            self._manifest["done"][source.name] = {"source": _fingerprint(source), **counts}
        self._write()

    def fail(self, source: Source, errors: list[str]) -> None:
        """Records a source as failed and removes its results, including those of an earlier version of its files."""
        self._forget(source)
        shutil.rmtree(self._out / PARTIAL, ignore_errors=True)
        self._manifest["failed"][source.name] = errors
        self._write()

    def _inside(self, source: Source) -> list[str]:
        """Returns the names of sources of earlier runs whose results lie in the folder of this source."""
        names = (*self._manifest["done"], *self._manifest["failed"])
        return [name for name in names if name.startswith(f"{source.name}/") and (self._out / name).exists()]

    def _forget(self, source: Source) -> None:
        self._manifest["done"].pop(source.name, None)
        self._manifest["failed"].pop(source.name, None)
        if not self._inside(source):
            shutil.rmtree(self._out / source.name, ignore_errors=True)

    def _write(self) -> None:
        io.write_json(self._out / MANIFEST, self._manifest)


def _read_manifest(path: pathlib.Path) -> dict:
    try:
        manifest = json.loads(path.read_bytes())
        return {key: dict(manifest[key]) for key in ("settings", "done", "failed")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as the manifest of a job ({error}); choose another --out") from error


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
