"""The program `aggpose predict`: finds keypoints in videos, images, folders of them and lists of paths."""

import argparse
import functools
import logging
import math
import sys
import time
from collections.abc import Sequence

from aggpose_jax import cli
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.manifests import Part
from aggpose_jax.inference.predictor import load
from aggpose_jax.inference.privacy import head_points
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.several import MAX_PERSONS
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.inference.span import Span
from aggpose_jax.recordings import formats
from aggpose_jax.runtime import compilation


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("predict"),
        "Finds the keypoints of infants in videos and images, or of every person in given boxes.\n"
        "Rerunning the same command resumes.",
        [
            "film.mp4 --out keypoints",
            "--checkpoint runs/infant_l archive/ photo.jpg --out keypoints --formats csv,deeplabcut --mosaic head",
            "twins.mp4 --out keypoints --persons 2 --start 60 --end 180",
            "archive/ --out keypoints --no-overlay --shard 0/4",
        ],
    )
    parser.add_argument("inputs", nargs="+", type=cli.path, metavar="INPUT", help="video, image, folder or list (.txt)")
    parser.add_checkpoint(default=pretrained.NAME)
    group = parser.add_argument_group("boxes", "Without these, infants are searched for in the full image and tracked.")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--box", type=_box, action="append", default=[], metavar="X,Y,W,H",
        help="box of a person in every frame, in pixels; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--boxes", type=cli.path, metavar="FILE",
        help="COCO detection results, or for several videos a folder of VIDEO.json",
    )  # fmt: skip
    group.add_argument("--whole", action="store_true", help="use the full image as the box")
    parser.add_argument(
        "--shard", type=cli.part, default=(0, 1), metavar="I/N",
        help="the part of this machine, I from 0 to N - 1, of a job that N machines do in the same folder --out",
    )  # fmt: skip
    parser.add_argument(
        "--persons", type=int, choices=range(1, MAX_PERSONS + 1), default=1, metavar="N",
        help=f"number of infants, at most {MAX_PERSONS}, who are searched for and tracked without boxes (1)",
    )  # fmt: skip
    group = parser.add_argument_group("part of each video", "Frames keep their numbers and times.")
    group.add_argument("--start", type=_seconds, default=0.0, metavar="S", help="first time in seconds (0)")
    group.add_argument(
        "--end", type=_seconds, default=math.inf, metavar="S", help="time in seconds before which it ends"
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", required=True, type=cli.path, metavar="DIR",
        help="folder for the results: a new one, or that of the same command",
    )  # fmt: skip
    group.add_argument(
        "--formats",
        type=functools.partial(cli.names, kind="format", known=formats.NAMES),
        default=["coco", "csv"],
        metavar="A,B,…",
        help=f"file formats, of {','.join(formats.NAMES)} (coco,csv)",
    )
    group.add_argument(
        "--overlay",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write images with skeletons, and a contact sheet",
    )
    group.add_argument("--mosaic", choices=["head"], help="make heads unrecognisable in all images that are written")
    return parser


def _box(text: str) -> tuple[float, ...]:
    try:
        box = tuple(map(float, text.split(",")))
    except ValueError:
        box = ()
    if len(box) != 4:
        raise argparse.ArgumentTypeError(f"{text} is not X,Y,W,H; give four numbers in pixels")
    return box


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds; give a number of at least 0")
    return seconds


def span(arguments: argparse.Namespace) -> Span:
    """Returns the part of each video that a command line selects.

    Raises:
      UserError: it ends before it starts.
    """
    if arguments.start >= arguments.end:
        raise UserError(f"--start {arguments.start:g} is not before --end {arguments.end:g}; give a later --end")
    return Span(arguments.start, arguments.end)


def box_source(arguments: argparse.Namespace) -> BoxSource:
    """Returns where the boxes of persons come from.

    Raises:
      UserError: there are boxes and a number of infants that are searched for.
    """
    if arguments.persons > 1 and (arguments.box or arguments.boxes or arguments.whole):
        raise UserError("--persons is the number of infants that are searched for; leave it out, or the boxes")
    return BoxSource(tuple(arguments.box), arguments.boxes, arguments.whole, arguments.persons)


def output_options(arguments: argparse.Namespace) -> OutputOptions:
    """Returns the options of a command line that select which results are written.

    Raises:
      UserError: a library for one of the formats is missing.
    """
    formats.check_libraries(arguments.formats)
    return OutputOptions(tuple(arguments.formats), arguments.overlay, arguments.mosaic is not None)


def check_image_formats(names: Sequence[str]) -> None:
    """Prints which of the formats are not written for images.

    Raises:
      UserError: none of the formats can be written for images.
    """
    left_out = [name for name in names if name in formats.RECORDING_FORMATS]
    if len(left_out) == len(names):
        raise UserError(f"images cannot be written as {', '.join(left_out)}; add csv to --formats")
    if left_out:
        print(f"images are not written as {', '.join(left_out)}, which are formats of videos")


def main(arguments: argparse.Namespace) -> None:
    """Predicts the keypoints in the videos and images of a command line and writes them to the folder --out."""
    logging.getLogger("absl").setLevel(logging.ERROR)  # hides the progress messages of libraries
    boxes, seconds, part = box_source(arguments), span(arguments), Part(*arguments.shard)
    options = output_options(arguments)
    sources, skipped, results = find_sources(arguments.inputs, arguments.out)
    if results:
        print(f"left out {len(results)} folders with results of other jobs, the first {results[0]}")
    if skipped:
        suffixes = ", ".join(sorted({path.suffix for path in skipped}))
        print(f"skipped {len(skipped)} images or videos of unsupported formats ({suffixes}), the first {skipped[0]}")
    if any(source.files for source in sources):
        check_image_formats(options.formats)
    compilation.enable_compilation_cache()
    predictor = load(arguments.checkpoint, arguments.config, arguments.overrides)
    if options.mosaic:
        head_points(predictor.keypoint_set)
    start = time.monotonic()
    settings = {"set": sorted(arguments.overrides)}
    summary = batch_job.run(predictor, sources, arguments.out, boxes, options, settings, seconds, part)
    duration = time.monotonic() - start
    if summary.frames:
        missing = f" of {summary.promised}" if summary.promised > summary.frames else ""
        print(f"{summary.frames}{missing} frames in {duration:.1f} s, {summary.frames / duration:.1f} frames/s; "
              f"a pose in {summary.found / summary.frames:.1%}")  # fmt: skip
    print(f"{arguments.out}: {summary.done} done in this run, {summary.before} before")
    if summary.failures:
        first, count = summary.failures[0], len(summary.failures)
        listed = f"{count} failed, listed in {arguments.out / part.manifest}: {first}; …"
        raise UserError(first if count == 1 else listed)


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
