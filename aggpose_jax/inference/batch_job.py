"""Batch jobs over videos and images that can be interrupted at any time and resumed with the same command."""

import dataclasses
import errno
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax import __version__
from aggpose_jax.data import videos
from aggpose_jax.errors import UserError
from aggpose_jax.inference import frame_poses, manifests
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.job_folder import JobFolder
from aggpose_jax.inference.manifests import Part
from aggpose_jax.inference.media import prefetch, read_images
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.inference.progress import Progress, show_progress
from aggpose_jax.inference.results import OutputOptions, write_image_results, write_video_results
from aggpose_jax.inference.sources import Source, as_text
from aggpose_jax.inference.span import WHOLE, Span
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
    span: Span = WHOLE,
    part: Part = manifests.WHOLE,
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
      span: which part of each video is predicted.
      part: which of the sources are predicted, if several machines share the job.

    Raises:
      UserError: `out` belongs to another job or cannot be written.
    """
    made_by = {"network": predictor.digest, **settings, **dataclasses.asdict(options), **box_source.settings}
    made_by |= span.settings
    job = JobFolder(out, json.loads(json.dumps(made_by, default=str)), part)
    own = sources[part.index :: part.count]
    remaining = [source for source in own if not job.is_done(source)]
    frames = promised = found = done = 0
    failures = []
    with show_progress(sum(_count(source, span) for source in remaining)) as bar:
        for number, source in enumerate(remaining, 1):
            bar.set_description(f"{number}/{len(remaining)} {source.name}")
            try:
                folder = job.partial(source)
                poses, expected, errors = _predict(predictor, source, folder, box_source, options, span, bar)
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
    return Summary(done, len(own) - len(remaining), frames, promised, found, failures)


def _predict(
    predictor: Predictor,
    source: Source,
    folder: pathlib.Path,
    box_source: BoxSource,
    options: OutputOptions,
    span: Span,
    bar: Progress,
) -> tuple[Poses, int, list[str]]:
    """Writes the results of a source to a folder.

    Returns:
      Its poses; the number of frames that its files should contain; and its error messages, one for each unreadable
      image, or one for a video that is damaged.
    """
    errors: list[str] = []
    boxes = box_source.boxes_of(source)
    decoding = videos.Decoding()
    frames = prefetch(read_images(source.paths, errors) if source.files else span.frames(source.paths[0], decoding))
    if boxes and source.files:
        frames = _with_usable_boxes(frames, boxes, errors)
    if boxes:
        items = frame_poses.estimate_in_boxes(predictor, frames, boxes)
    else:
        find = frame_poses.find_in_images if source.files else frame_poses.track_video
        items = find(predictor, frames, box_source.persons)
    searches = frame_poses.SecondInfant()
    items = prefetch(searches.count(_with_progress(items, bar)))
    if source.files:
        poses = write_image_results(items, folder, source.files, predictor.keypoint_set, options)
        if not len(poses.times):
            raise UserError(errors[0])
        promised = len(source.files)
    else:
        stem = pathlib.PurePath(source.name).name
        poses = write_video_results(items, folder, stem, predictor.keypoint_set, options)
        facts = _facts(source, decoding, predictor, box_source, searches)
        write_facts(facts, poses, folder)
        write_recording(Recording(as_text(source.name), poses, facts), folder, options.formats)
        if fault := decoding.fault():
            errors.append(f"{source.paths[0]} {fault}; its results are those of the decoded frames")
        promised = len(poses.times) + max(decoding.promised - decoding.decoded, 0)
    return poses, promised, errors


def _facts(
    source: Source,
    decoding: videos.Decoding,
    predictor: Predictor,
    box_source: BoxSource,
    searches: frame_poses.SecondInfant,
) -> Facts:
    width, height = decoding.size
    return Facts(
        video=as_text(os.path.abspath(source.paths[0])),
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
        searched=searches.searched,
        second=searches.found,
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


def _with_progress(items: Iterable, bar: Progress) -> Iterator:
    for item in items:
        yield item
        bar.update()


def _count(source: Source, span: Span) -> int:
    """Returns the number of frames or images of a source, for the progress bar; 0 if its video cannot be read.

    The error is reported when the video is predicted.
    """
    try:
        return len(source.files) or span.count(source.paths[0])
    except UserError:
        return 0
