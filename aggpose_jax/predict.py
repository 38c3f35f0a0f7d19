"""Finds keypoints: python -m aggpose_jax.predict --checkpoint RUN VIDEO … --out DIR (images, folders, lists too)."""

import pathlib
import time

from absl import flags, logging

from aggpose_jax import cli
from aggpose_jax.errors import UserError
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.predictor import load
from aggpose_jax.inference.privacy import head_points
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.recordings.deeplabcut import import_pandas
from aggpose_jax.recordings.formats import FORMATS
from aggpose_jax.runtime import compilation

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "Folder of a run, or a weight file with a --config.")
OUT = flags.DEFINE_string("out", None, "Folder for the results: a new one, or that of the same command to go on.")
BOX = flags.DEFINE_multi_string("box", [], "X,Y,W,H of a person in every frame, in pixels; may be repeated.")
BOXES = flags.DEFINE_string("boxes", None, "COCO detection results; of several videos a folder with VIDEO.json.")
WHOLE = flags.DEFINE_bool("whole", False, "Take the whole picture as the box, instead of looking for one infant.")
WRITE = flags.DEFINE_list("formats", ["coco", "csv"], f"What to write: {','.join(FORMATS)}.")
OVERLAY = flags.DEFINE_bool("overlay", True, "Write pictures with skeletons, and a contact sheet.")
MOSAIC = flags.DEFINE_enum("mosaic", None, ["head"], "Make heads unrecognisable in all pictures that are written.")


def where() -> BoxSource:
    """What the flags say about boxes."""
    if sum(map(bool, (BOX.value, BOXES.value, WHOLE.value))) > 1:
        raise UserError("--box, --boxes and --whole exclude each other; give one of them")
    boxes = []
    for text in BOX.value:
        try:
            box = tuple(map(float, text.split(",")))
        except ValueError:
            box = ()
        if len(box) != 4:
            raise UserError(f"--box: {text} is not X,Y,W,H; give four numbers in pixels")
        boxes.append(box)
    return BoxSource(tuple(boxes), pathlib.Path(BOXES.value) if BOXES.value else None, WHOLE.value)


def wanted() -> OutputOptions:
    """What the flags say about results."""
    unknown = [name for name in WRITE.value if name not in FORMATS]
    if unknown:
        raise UserError(f"--formats: {unknown[0]} is unknown; known are {', '.join(FORMATS)}")
    if "deeplabcut_h5" in WRITE.value:
        import_pandas()
    return OutputOptions(tuple(WRITE.value), OVERLAY.value, MOSAIC.value is not None)


def main(arguments):
    """Predicts what the command line names."""
    logging.set_verbosity(logging.ERROR)  # the libraries' own progress
    if len(arguments) < 2 or not OUT.value:
        raise UserError("give videos, images or folders and --out: python -m aggpose_jax.predict "
                        "--checkpoint RUN VIDEO --out DIR")  # fmt: skip
    out, boxes, results = pathlib.Path(OUT.value), where(), wanted()
    sources = find_sources([pathlib.Path(argument) for argument in arguments[1:]], out)
    compilation.enable_compilation_cache()
    predictor = load(CHECKPOINT.value, cli.CONFIG.value, cli.OVERRIDES.value)
    if results.mosaic:
        head_points(predictor.keypoint_set)
    start = time.monotonic()
    summary = batch_job.run(predictor, sources, out, boxes, results, {"set": sorted(cli.OVERRIDES.value)})
    seconds = time.monotonic() - start
    if summary.frames:
        print(f"{summary.frames} frames in {seconds:.1f} s, {summary.frames / seconds:.1f} a second; "
              f"a pose in {summary.found / summary.frames:.1%}")  # fmt: skip
    print(f"{out}: {summary.done} done now, {summary.before} before")
    if summary.failures:
        first, count = summary.failures[0], len(summary.failures)
        raise UserError(first if count == 1 else f"{count} failed, listed in {out / batch_job.MANIFEST}: {first}; …")


if __name__ == "__main__":
    flags.FLAGS.set_gnu_getopt()  # flags may follow the videos
    flags.mark_flag_as_required("checkpoint")
    cli.run(main, words=True)
