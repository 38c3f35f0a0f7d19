"""Batch jobs over videos and images that can be interrupted at any time and resumed with the same command."""

import dataclasses
import errno
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from aggpose_jax import __version__, io
from aggpose_jax.data import videos, writers
from aggpose_jax.data.folders import MANIFEST
from aggpose_jax.errors import UserError
from aggpose_jax.inference import frame_poses
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.media import prefetch, read_images
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.results import OutputOptions, write_image_results, write_video_results
from aggpose_jax.inference.sources import PARTIAL, Source, as_text
from aggpose_jax.recordings.formats import write_recording
from aggpose_jax.recordings.poses import Poses
from aggpose_jax.recordings.recording import Facts, Recording, write_facts

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors of a file system after which no source can be written


class Summary(NamedTuple):
    """The outcome of a batch job.

    Attributes:
      done: sources completed by this call.
      before: sources that an earlier call had completed.
      frames: frames processed by this call.
      promised: frames that the files of these sources should contain, at least `frames`.
      found: frames with at least one pose among them.
      failures: error messages, one per video or image that could not be processed.
    """

    done: int
    before: int
    frames: int
    promised: int
    found: int
    failures: list[str]


def run(
    predictor: Predictor,
    sources: Sequence[Source],
    out: pathlib.Path,
    box_source: BoxSource,
    options: OutputOptions,
    settings: dict,
) -> Summary:
    """Predicts the sources that are not done yet and skips those that cannot be read.

    The results of a source appear in `out` only when they are complete.

    Args:
      predictor: trained network.
      sources: from `sources.find_sources`.
      out: new folder, or the folder of an interrupted run of the same job.
      box_source: person boxes.
      options: which results are written.
      settings: JSON values of everything else that influences the results. They are stored in the manifest, and a
        folder whose manifest has other values is refused.

    Raises:
      UserError: `out` belongs to another job or cannot be written.
    """
    made_by = {"network": predictor.digest, **settings, **dataclasses.asdict(options), **dataclasses.asdict(box_source)}
    job = _Job(out, json.loads(json.dumps(made_by, default=str)))
    remaining = [source for source in sources if not job.is_done(source)]
    frames = promised = found = done = 0
    failures = []
    with tqdm(total=sum(map(_count, remaining)), unit="frame", smoothing=0.05, disable=None) as bar:
        for number, source in enumerate(remaining, 1):
            bar.set_description(f"{number}/{len(remaining)} {source.name}")
            try:
                poses, expected, errors = _predict(predictor, source, job.partial(source), box_source, options, bar)
                counts = {"frames": len(poses.times), "promised": expected, "found": len(np.unique(poses.row))}
                frames, promised = frames + counts["frames"], promised + expected
                found += counts["found"]
                job.complete(source, counts, errors)
            except UserError as error:
                errors = [str(error)]
                job.fail(source, errors)
            except OSError as error:
                if error.errno in NO_SPACE:
                    raise UserError(
                        f"{out}: cannot write ({error.strerror}); free some space, or choose another --out"
                    ) from error
                errors = [f"{source.paths[0]}: its results cannot be written ({error}); rename it"]
                job.fail(source, errors)
            done += not errors
            failures += errors
    return Summary(done, len(sources) - len(remaining), frames, promised, found, failures)


class _Job:
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
    different = [key for key in settings if stored.get(key) != settings[key]]
    if different:
        key = different[0]
        raise UserError(f"{out}: holds the results of another job ({key} was {stored.get(key)}, this job has "
                        f"{settings[key]}); choose another --out")  # fmt: skip


def _predict(
    predictor: Predictor,
    source: Source,
    folder: pathlib.Path,
    box_source: BoxSource,
    options: OutputOptions,
    bar: tqdm,
) -> tuple[Poses, int, list[str]]:
    """Writes the results of a source to a folder.

    Returns:
      Its poses; the number of frames that its files should contain; and its error messages, one for each unreadable
      image, or one for a video that is damaged.
    """
    errors: list[str] = []
    boxes = box_source.boxes_of(source)
    decoding = videos.Decoding()
    frames = prefetch(
        read_images(source.paths, errors) if source.files else videos.read_frames(source.paths[0], decoding=decoding)
    )
    if boxes and source.files:
        frames = _with_usable_boxes(frames, boxes, errors)
    if boxes:
        items = frame_poses.estimate_in_boxes(predictor, frames, boxes)
    else:
        items = (frame_poses.find_in_images if source.files else frame_poses.track_video)(predictor, frames)
    items = prefetch(_with_progress(items, bar))
    if source.files:
        poses = write_image_results(items, folder, source.files, predictor.keypoint_set, options)
        if not len(poses.times):
            raise UserError(errors[0])
        promised = len(source.files)
    else:
        stem = pathlib.PurePath(source.name).name
        poses = write_video_results(items, folder, stem, predictor.keypoint_set, options)
        facts = _facts(source, decoding, predictor, box_source)
        write_facts(facts, poses, folder)
        write_recording(Recording(as_text(source.name), poses, facts), folder, options.formats)
        if fault := decoding.fault():
            errors.append(f"{source.paths[0]} {fault}; its results are those of the decoded frames")
        promised = max(decoding.promised, decoding.decoded)
    return poses, promised, errors


def _facts(source: Source, decoding: videos.Decoding, predictor: Predictor, box_source: BoxSource) -> Facts:
    width, height = decoding.size
    return Facts(
        video=as_text(str(source.paths[0])),
        width=width,
        height=height,
        rotation=decoding.rotation,
        header_rate=decoding.header_rate,
        promised=max(decoding.promised, decoding.decoded),
        decoded=decoding.decoded,
        errors=decoding.errors,
        software=f"aggpose_jax {__version__}",
        network=predictor.digest,
        boxes=box_source.kind,
    )


def _with_usable_boxes(
    images: Iterable[videos.VideoFrame], boxes: frame_poses.Boxes, errors: list[str]
) -> Iterator[videos.VideoFrame]:
    """Yields the images whose boxes can be used; the error messages of the others are appended to `errors`."""
    for image in images:
        try:
            boxes(image)
        except UserError as error:
            errors.append(str(error))
        else:
            yield image


def _with_progress(items: Iterable, bar: tqdm) -> Iterator:
    for item in items:
        yield item
        bar.update()


def _count(source: Source) -> int:
    """Returns the number of frames or images of a source, for the progress bar; 0 if its video cannot be read.

    The error is reported when the video is predicted.
    """
    try:
        return len(source.files) or videos.count_frames(source.paths[0])
    except UserError:
        return 0


def _fingerprint(source: Source) -> list:
    """Returns path, size and modification time of each file of a source, which differ once one of them has changed."""
    return [[os.path.realpath(path), *_size_and_time(path)] for path in source.paths]


def _size_and_time(path: pathlib.Path) -> tuple[int, int]:
    try:
        return path.stat().st_size, path.stat().st_mtime_ns
    except OSError:  # The file is missing: the error is reported when the source is predicted.
        return -1, -1
