"""The verbs export, import and choose of the program `aggpose prepare`: labels in and out of annotation tools."""

import argparse
import math
import pathlib

import numpy as np

from aggpose_jax import cli, io
from aggpose_jax.data import writers
from aggpose_jax.errors import UserError
from aggpose_jax.inference.finished_jobs import FinishedSource, read_job
from aggpose_jax.labels import choice, choice_files, coco, deeplabcut, origin
from aggpose_jax.labels.formats import FORMATS
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, in_keypoint_set, to_coco, with_fields
from aggpose_jax.labels.pictures import Picture, place
from aggpose_jax.pose.keypoint_files import known_set, to_fields
from aggpose_jax.pose.keypoints import KEYPOINT_SETS, KeypointSet, find_keypoint_set
from aggpose_jax.pose.metrics import MIN_KEYPOINT_SCORE

SKIPPED_FILE, KEYPOINT_SET_FILE = "skipped_images.txt", "keypoint_set.json"
ROTATING = ("cvat", "labelme")  # tools that rotate images by their EXIF orientation before they are labelled
Pictures = dict[str, Picture]


def export_labels(arguments: argparse.Namespace) -> None:
    """Writes labels, or predictions as first labels, with their images for an annotation tool."""
    keypoint_set = _given_set(arguments)
    if arguments.source.is_dir():
        labels, pictures = _predictions(arguments.source, keypoint_set, arguments.frames)
    else:
        labels, pictures = _annotations(arguments.source, arguments.images, keypoint_set)
    labels, _ = in_keypoint_set(labels, keypoint_set or known_set(labels.keypoint_set.names) or labels.keypoint_set)
    form = FORMATS[arguments.to]
    if form.is_project:
        deeplabcut.check_one_animal(labels)
    out = writers.new_folder(arguments.out)
    failures: list[str] = []
    labels = place(labels._replace(images=with_fields(labels.images)), pictures, out / form.images, form.is_project,
                   failures)  # fmt: skip
    _check_any(labels, failures)
    form.write(labels, out)
    origin.write(labels, out)
    print(f"{out}: {_counts(labels)}; import: {cli.command('prepare')} import {out} --from {arguments.to} --out DIR")
    _report(failures, out)


def _annotations(
    file: pathlib.Path, images: pathlib.Path | None, keypoint_set: KeypointSet | None
) -> tuple[LabelSet, Pictures]:
    """Returns the labels of an annotation file, and where the pixels of each image come from."""
    labels = coco.read(file, images, keypoint_set)
    return labels, {image.file: Picture(labels.folder / image.file) for image in labels.images}


def _predictions(
    folder: pathlib.Path, keypoint_set: KeypointSet | None, frames: pathlib.Path | None
) -> tuple[LabelSet, Pictures]:
    """Returns the keypoints of finished predictions that score more than MIN_KEYPOINT_SCORE as labels, and pictures.

    Args:
      folder: results of predict.
      keypoint_set: names of the keypoints, see `read_job`.
      frames: file of `choice_files` with the frames that are returned; None returns all.
    """
    selected = None if frames is None else choice_files.read(frames)
    images, pictures = [], {}
    for source in read_job(folder, keypoint_set):
        keypoint_set = source.poses.keypoint_set
        for row, number in enumerate(source.poses.numbers.tolist()):
            if selected is not None and (source.name, number) not in selected:
                continue
            picture = _picture(source, row)
            image = _predicted_image(source, row, number)
            images.append(image)
            pictures[image.file] = picture
    if not images or keypoint_set is None:
        raise UserError(f"{frames or folder}: none of its frames is in the results; give those of the same videos")
    return LabelSet(keypoint_set, tuple(images), folder), pictures


def _predicted_image(source: FinishedSource, row: int, number: int) -> LabelledImage:
    poses = source.poses
    persons = poses.keypoints[poses.rows(row)].copy()
    is_labelled = persons[..., 2:] > MIN_KEYPOINT_SCORE
    persons[..., 2] = 2
    persons = np.where(is_labelled, persons, 0)
    if not source.is_video:
        return LabelledImage(poses.files[row], None, persons)
    fields = {"video_id": source.name, "frame": number}
    if math.isfinite(poses.times[row]):
        fields["time"] = round(float(poses.times[row]), 6)
    return LabelledImage(f"{source.name}/{number}", None, persons, fields)


def _picture(source: FinishedSource, row: int) -> Picture:
    """Returns where the pixels of a frame or image are; an image is found by its name among the paths of its source."""
    number = int(source.poses.numbers[row])
    if source.is_video:
        return Picture(source.paths[0], number)
    name = source.poses.files[row]
    named = [path for path in source.paths if path.as_posix() == name or path.as_posix().endswith(f"/{name}")]
    return Picture(named[0] if named else pathlib.Path(name), upright=True)


def import_labels(arguments: argparse.Namespace) -> None:
    """Makes a folder in the layout of COCO from labels of an annotation tool; boxes are tight around the keypoints."""
    given = _given_set(arguments)
    form, split = FORMATS[arguments.source], arguments.split
    is_coco = arguments.source == "coco"
    labels = coco.read(arguments.labels, None, given) if is_coco else form.read(arguments.labels)
    exported = origin.read(arguments.labels)
    names = labels.keypoint_set.names
    target = given or (exported and exported.keypoint_set) or known_set(names) or labels.keypoint_set
    labels, left_out = in_keypoint_set(labels, target)
    if exported:
        labels = origin.restore(labels, exported)
    labels = labels._replace(images=with_fields(labels.images), folder=arguments.images or labels.folder)
    is_upright = arguments.source in ROTATING
    pictures = {image.file: Picture(labels.folder / image.file, upright=is_upright) for image in labels.images}
    out = writers.new_folder(arguments.out)
    failures: list[str] = []
    labels = place(labels, pictures, out / split, False, failures)
    _check_any(labels, failures)
    file = out / "annotations" / f"person_keypoints_{split}.json"
    io.write_json(file, to_coco(labels))
    print(f"{out}: {_counts(labels)}")
    if left_out:
        print(f"left out: {', '.join(left_out)}, which the set {target.name} does not have")
    if target.name not in KEYPOINT_SETS:
        io.write_json(out / KEYPOINT_SET_FILE, to_fields(target), indent=2)
        print(f"train with --config.keypoint_set={out / KEYPOINT_SET_FILE}")
    print(f"split: {cli.command('prepare')} split {file} --images {out / split} --out DIR")
    _report(failures, out)


def choose_frames(arguments: argparse.Namespace) -> None:
    """Lists the frames of predicted videos that are most worth labelling: uncertain, inconsistent, not alike."""
    excluded = choice_files.read_excluded(arguments.exclude)
    sources = read_job(arguments.results, _given_set(arguments))
    kept = [source for source in sources if not choice_files.is_excluded(source.name, excluded)]
    if arguments.exclude:
        print(f"{len(sources) - len(kept)} of {len(sources)} videos are excluded")
    series, owners = [], []
    for source in kept:
        for one in _series(source, excluded):
            series.append(one)
            owners.append(source)
    if not series:
        raise UserError(f"{arguments.results}: no frame is left to choose from; check --exclude")
    found = choice.choose(series, kept[0].poses.keypoint_set, arguments.frames, arguments.per_video)
    chosen = [_chosen_frame(owners[one.series], series[one.series], one) for one in found]
    choice_files.write(chosen, arguments.out)
    print(
        f"{arguments.out}: {len(chosen)} of {arguments.frames} frames, of {len({one.video for one in chosen})} videos"
    )
    print(f"export: {cli.command('prepare')} export {arguments.results} --frames {arguments.out} --to cvat --out DIR")


def _series(source: FinishedSource, excluded: set[str]) -> list[choice.Series]:
    """Returns the keypoints of each person of a video, [T, K, 3], or of the images that are not excluded."""
    poses = source.poses
    count = int(poses.person.max(initial=0)) + 1
    keypoints = np.full((count, len(poses.numbers), len(poses.keypoint_set), 3), np.nan)
    keypoints[poses.person, poses.row] = poses.keypoints
    rows = np.array([not choice_files.is_excluded(file, excluded) for file in poses.files], bool)
    rows = np.ones(len(poses.numbers), bool) if source.is_video else rows
    if not rows.any():
        return []
    return [choice.Series(source.name, one[rows], np.flatnonzero(rows), source.is_video) for one in keypoints]


def _chosen_frame(source: FinishedSource, series: choice.Series, found: choice.Candidate) -> choice_files.ChosenFrame:
    row = int(series.rows[found.row])
    poses, time = source.poses, float(source.poses.times[row])
    return choice_files.ChosenFrame(
        source.name, int(poses.numbers[row]), round(time, 6) if math.isfinite(time) else None,
        "" if source.is_video else poses.files[row], found.error, found.reasons,
    )  # fmt: skip


def _given_set(arguments: argparse.Namespace) -> KeypointSet | None:
    return find_keypoint_set(arguments.keypoint_set) if arguments.keypoint_set else None


def _counts(labels: LabelSet) -> str:
    persons = sum(int((image.persons[..., 2] > 0).any(-1).sum()) for image in labels.images)
    keypoints = sum(int((image.persons[..., 2] > 0).sum()) for image in labels.images)
    return f"{len(labels.images)} images, {persons} persons, {keypoints} labelled keypoints"


def _check_any(labels: LabelSet, failures: list[str]) -> None:
    if not labels.images:
        raise UserError(
            f"none of the {len(failures)} images can be read; give their folder with --images; first: {failures[0]}"
        )


def _report(failures: list[str], out: pathlib.Path) -> None:
    """Raises a UserError if images are missing or damaged, after listing them in a file."""
    if failures:
        io.write_text(out / SKIPPED_FILE, "".join(f"{failure}\n" for failure in failures))
        raise UserError(f"{len(failures)} images are missing or damaged and were left out, listed in "
                        f"{out / SKIPPED_FILE}; first: {failures[0]}")  # fmt: skip


def add_verbs(parser: cli.Parser) -> None:
    """Adds the verbs export, import and choose."""
    for add_verb in (_add_export, _add_import, _add_choose):
        add_verb(parser)


def _add_export(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "export",
        export_labels,
        [
            "data/mine/annotations/person_keypoints_train.json --to cvat --out labels",
            "keypoints --frames frames.csv --to labelme --out labels",
        ],
    )
    verb.add_argument(
        "source", type=cli.path, metavar="SOURCE", help="COCO annotation file, or a folder of results of predict"
    )
    verb.add_argument("--to", choices=FORMATS, required=True, help="format of the annotation tool")
    verb.add_argument("--out", type=cli.path, required=True, metavar="DIR", help="new folder")
    verb.add_argument(
        "--images", type=cli.path, metavar="DIR", help="folder of the images of an annotation file (that of its split)"
    )
    verb.add_argument(
        "--frames",
        type=cli.path,
        metavar="FILE",
        help="frames that prepare choose has listed (all frames of the results)",
    )
    _add_keypoint_set(verb)


def _add_import(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "import",
        import_labels,
        ["labels --from cvat --out data/mine", "my-project-2026-01-01 --from deeplabcut --out data/mine"],
    )
    verb.add_argument("labels", type=cli.path, metavar="LABELS", help="label file, or folder of labels or of a project")
    verb.add_argument("--from", dest="source", choices=FORMATS, required=True, help="format of the annotation tool")
    verb.add_argument("--out", type=cli.path, required=True, metavar="DIR", help="new folder, in the layout of COCO")
    verb.add_argument("--images", type=cli.path, metavar="DIR", help="folder of the images (that of the format)")
    verb.add_argument("--split", default="all", metavar="NAME", help="name of the split (all)")
    _add_keypoint_set(verb)


def _add_choose(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "choose",
        choose_frames,
        [
            "keypoints --frames 100 --out frames.csv",
            "keypoints --frames 100 --exclude data/mine/annotations/person_keypoints_test.json --out frames.json",
        ],
    )
    verb.add_argument("results", type=cli.path, metavar="RESULTS", help="folder of results of predict")
    verb.add_argument("--frames", type=cli.count, required=True, metavar="N", help="number of frames")
    verb.add_argument(
        "--per-video", type=cli.count, metavar="M", help="most frames of a video (twice the mean number, at least 1)"
    )
    verb.add_argument(
        "--exclude", type=cli.path, nargs="+", default=[], metavar="FILE",
        help="annotation files (.json), as of a test split, or lists of names of videos that are never chosen",
    )  # fmt: skip
    verb.add_argument("--out", type=cli.path, required=True, metavar="FILE", help="list of the frames (.csv or .json)")
    _add_keypoint_set(verb)


def _add_keypoint_set(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--keypoint-set", metavar="SET", help=f"{', '.join(KEYPOINT_SETS)} or a file (that of the names in the source)"
    )
