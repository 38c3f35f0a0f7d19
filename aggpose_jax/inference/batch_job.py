"""Videos and images as a job that can be stopped at any moment and goes on where it was."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from aggpose_jax import io
from aggpose_jax.data import videos, writers
from aggpose_jax.errors import UserError
from aggpose_jax.inference import frame_poses
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.media import ahead, read_images
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.results import OutputOptions, write_image_results, write_video_results
from aggpose_jax.inference.sources import Source
from aggpose_jax.recordings.poses import Poses

MANIFEST = "manifest.json"
PARTIAL = ".partial"


class Summary(NamedTuple):
    """What a job did: sources done now and before, frames of those done now and how many have a pose, and faults."""

    done: int
    before: int
    frames: int
    found: int
    failures: list[str]


def run(
    predictor: Predictor,
    sources: Sequence[Source],
    out: pathlib.Path,
    where: BoxSource,
    wanted: OutputOptions,
    settings: dict,
) -> Summary:
    """Predicts sources that are not done yet; each appears in `out` when it is whole. Faulty ones are skipped.

    Args:
      predictor: the network.
      sources: of `sources.find_sources`.
      out: new folder, or that of the same job.
      where: persons are.
      wanted: results.
      settings: what else makes results differ; a job with others is refused.

    Raises:
      UserError: `out` is of another job or cannot be written.
    """
    made_by = {"network": predictor.digest, **settings, **dataclasses.asdict(wanted), **dataclasses.asdict(where)}
    job = _Job(out, json.loads(json.dumps(made_by, default=str)))
    left = [source for source in sources if not job.is_done(source)]
    frames = found = done = 0
    failures = []
    with tqdm(total=sum(map(_count, left)), unit="frame", smoothing=0.05, disable=None) as bar:
        for number, source in enumerate(left, 1):
            bar.set_description(f"{number}/{len(left)} {source.name}")
            try:
                poses, faults = _predict(predictor, source, job.partial(), where, wanted, bar)
                frames, found = frames + len(poses.times), found + len(np.unique(poses.row))
                job.keep(source, poses, faults)
            except UserError as error:
                faults = [str(error)]
                job.give_up(source, faults)
            except OSError as error:
                raise UserError(
                    f"{out}: cannot be written ({error.strerror}); make room or give another --out"
                ) from error
            done += not faults
            failures += faults
    return Summary(done, len(sources) - len(left), frames, found, failures)


class _Job:
    """The folder of a job: a folder of results for each source, and the manifest that says which are whole."""

    def __init__(self, out: pathlib.Path, settings: dict):
        self._out = out
        manifest = out / MANIFEST
        if manifest.exists():
            self._manifest = _read_manifest(manifest, settings)
        else:
            writers.new_folder(out)
            self._manifest = {"settings": settings, "done": {}, "failed": {}}
            self._write()

    def is_done(self, source: Source) -> bool:
        """The source has whole results, and has not changed since."""
        return self._manifest["done"].get(source.name, {}).get("source") == _identity(source)

    def partial(self) -> pathlib.Path:
        """A new folder for results that are not whole yet."""
        folder = self._out / PARTIAL
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def keep(self, source: Source, poses: Poses, faults: list[str]) -> None:
        """The results are whole, but for faults of single images."""
        self._forget(source)
        (self._out / source.name).parent.mkdir(parents=True, exist_ok=True)
        (self._out / PARTIAL).rename(self._out / source.name)
        if faults:
            self._manifest["failed"][source.name] = faults
        else:
            frames, found = len(poses.times), len(np.unique(poses.row))
            self._manifest["done"][source.name] = {"source": _identity(source), "frames": frames, "found": found}
        self._write()

    def give_up(self, source: Source, faults: list[str]) -> None:
        """The source cannot be read; results of an earlier state of it go too."""
        self._forget(source)
        shutil.rmtree(self._out / PARTIAL, ignore_errors=True)
        self._manifest["failed"][source.name] = faults
        self._write()

    def _forget(self, source: Source) -> None:
        self._manifest["done"].pop(source.name, None)
        self._manifest["failed"].pop(source.name, None)
        shutil.rmtree(self._out / source.name, ignore_errors=True)

    def _write(self) -> None:
        io.write_json(self._out / MANIFEST, self._manifest)


def _read_manifest(path: pathlib.Path, settings: dict) -> dict:
    try:
        manifest = json.loads(path.read_bytes())
        theirs = manifest["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as that of a job ({error}); give another --out") from error
    different = [key for key in settings if theirs.get(key) != settings[key]]
    if different:
        key = different[0]
        raise UserError(f"{path.parent}: holds results of another job ({key} {theirs.get(key)} there, {settings[key]} "
                        "here); give another --out")  # fmt: skip
    return manifest


def _predict(
    predictor: Predictor, source: Source, folder: pathlib.Path, where: BoxSource, wanted: OutputOptions, bar: tqdm
) -> tuple[Poses, list[str]]:
    """Writes the results of a source into a folder; the poses, and what could not be read of its images."""
    faults: list[str] = []
    boxes = where.of(source)
    frames = ahead(read_images(source.paths, faults) if source.files else videos.read_frames(source.paths[0]))
    if boxes:
        seen = frame_poses.look(predictor, frames, boxes)
    else:
        seen = (frame_poses.search if source.files else frame_poses.follow)(predictor, frames)
    seen = ahead(_counted(seen, bar))
    if source.files:
        poses = write_image_results(seen, folder, source.files, predictor.keypoint_set, wanted)
        if not len(poses.times):
            raise UserError(faults[0])
    else:
        stem = pathlib.PurePath(source.name).name
        poses = write_video_results(seen, folder, stem, predictor.keypoint_set, wanted)
    return poses, faults


def _counted(items: Iterable, bar: tqdm) -> Iterator:
    for item in items:
        yield item
        bar.update()


def _count(source: Source) -> int:
    """Frames of a source, for the progress bar; a fault is told when it is read."""
    try:
        return len(source.files) or videos.count_frames(source.paths[0])
    except UserError:
        return 0


def _identity(source: Source) -> list:
    """What changes when a file of the source does."""
    facts = [(str(path.resolve()), path.stat()) for path in source.paths]
    return [[path, stat.st_size, stat.st_mtime_ns] for path, stat in facts]
