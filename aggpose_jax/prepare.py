"""The program `aggpose prepare`: makes the data sets that training reads."""

import argparse
import functools
import os
import pathlib
import sys

from tqdm import tqdm

from aggpose_jax import cli, io, prepare_labels
from aggpose_jax.data import writers
from aggpose_jax.data.extraction import Settings, extract, find_videos
from aggpose_jax.data.split import split_directory
from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement
from aggpose_jax.data.synthetic.drawn_ahead import Settings as InfantSettings
from aggpose_jax.data.synthetic.drawn_ahead import draw_ahead
from aggpose_jax.data.synthetic.drawn_films import FilmSettings, draw_films
from aggpose_jax.data.synthetic.staging import LEVELS
from aggpose_jax.data.synthetic.styles import STYLES
from aggpose_jax.data.tfds import BUILDERS, build
from aggpose_jax.errors import UserError
from aggpose_jax.prepare_audit import add_audit

SPLIT_RATIOS = {"train": 0.7, "val": 0.1, "test": 0.2}
FPS = 30


def synthetic(arguments: argparse.Namespace) -> None:
    """Draws synthetic infants as a COCO directory with 21 keypoints, and as videos with the keypoints of each frame.

    Validation, test and videos have bed sheets, skins, clothes and proportions that no training infant has.
    """
    out = writers.new_folder(arguments.out)
    counts = {name: round(ratio * arguments.images) for name, ratio in SPLIT_RATIOS.items()}
    for seed, (name, count) in enumerate(counts.items()):
        source = SyntheticInfants(count, split="train" if name == "train" else "test", seed=seed)
        writers.write_coco(source, out, name, threads=os.cpu_count() or 1)
    if arguments.videos:
        _write_videos(SyntheticMovement(arguments.videos, arguments.frames, split="test", fps=FPS), out)
    print(f"{out}: {counts} images, {arguments.videos} videos")
    print(f"train: {cli.command('train')} --config infant_l:s --config.data_dir={out}")


def _write_videos(source: SyntheticMovement, out: pathlib.Path) -> None:
    """Writes videos, and their keypoints as COCO files whose image ids are the frame numbers, as in `predict`."""
    (out / "videos").mkdir()
    frames = source.frames
    for video in tqdm(range(len(source) // frames), unit="video"):
        name = f"video_{video + 1:06}"
        images = (source[video * frames + frame]["image"] for frame in range(frames))
        writers.write_video(images, out / "videos" / f"{name}.mp4", FPS)
        io.write_json(out / "annotations" / "videos" / f"{name}.json", source.ground_truth(video))


def infants(arguments: argparse.Namespace) -> None:
    """Draws rendered infants into shards, for training, or as films; rerunning the same command resumes."""
    folder, variety = arguments.out / arguments.split, LEVELS[arguments.variety]
    if arguments.videos:
        if arguments.drawn:
            raise UserError("--drawn replaces images; prepare synthetic --videos draws films of drawn infants")
        films = FilmSettings(arguments.videos, arguments.frames, arguments.split, arguments.seed, FPS, variety)
        draw_films(folder, films, arguments.shard, arguments.processes)
        print(f"{folder}: {arguments.videos} films, and their keypoints in annotations/videos")
        return
    settings = InfantSettings(arguments.images, arguments.split, arguments.seed, variety, arguments.drawn)
    draw_ahead(folder, settings, arguments.shard, arguments.processes)
    print(f"{folder}: {arguments.images} images; train with --config.data=infants")


def split(arguments: argparse.Namespace) -> None:
    """Splits a COCO file into train, val and test, so that no video is in two of them."""
    ratios = dict(zip(SPLIT_RATIOS, arguments.ratios, strict=True))
    counts = split_directory(
        arguments.annotations, arguments.images, arguments.out, ratios, arguments.seed, arguments.label
    )
    print(f"{arguments.out}: " + ", ".join(f"{count} videos or infants in {name}" for name, count in counts.items()))


def tfds(arguments: argparse.Namespace) -> None:
    """Builds a data set of TensorFlow Datasets from a COCO directory, without TensorFlow."""
    built = build(arguments.name, arguments.manual_dir, arguments.data_dir)
    print(f"{built}: train on it with --config.data={arguments.name} --config.data_dir={arguments.data_dir}")


def frames(arguments: argparse.Namespace) -> None:
    """Extracts frames of videos into shards for masked pretraining; rerunning the same command resumes."""
    settings = Settings(arguments.fps, arguments.longest_side, arguments.quality, arguments.distinct)
    files_by_name = find_videos(arguments.videos)
    manifest = extract(
        files_by_name, arguments.out, settings, crop=arguments.crop, mosaic=arguments.mosaic,
        processes=arguments.processes, part=arguments.shard,
    )  # fmt: skip
    if manifest is None:
        print(f"{arguments.out}: this part is finished; the process that finishes last writes the manifest")
        return
    count, size = sum(shard.frames for shard in manifest.shards), sum(shard.bytes for shard in manifest.shards)
    print(f"{arguments.out}: {count:,} frames of {len(manifest.shards):,} videos, {size / 1e9:.3g} GB")
    print(f"train: {cli.command('train')} --config mae_mit --config.data_dir={arguments.out}")
    if faults := manifest.skipped | manifest.damaged:
        first = next(iter(faults.values()))
        raise UserError(
            f"{len(manifest.skipped)} videos were skipped and {len(manifest.damaged)} lack frames, all listed in "
            f"manifest.json; first: {first}"
        )


def parser() -> cli.Parser:
    """Returns the parser of this program; `run` in its result is the function of the verb."""
    parser = cli.Parser(
        cli.command("prepare"),
        "Prepares data sets for training.",
        ["synthetic --out data/infant_pose --images 1000 --videos 5", "frames VIDEOS --out data/frames"],
    )
    for add_verb in (_add_synthetic, _add_infants, _add_split, _add_tfds, _add_frames, add_audit):
        add_verb(parser)
    prepare_labels.add_verbs(parser)
    return parser


def _add_synthetic(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "synthetic",
        synthetic,
        ["--out data/infant_pose --images 1000", "--out data/infant_pose --images 1000 --videos 5"],
    )
    verb.add_argument("--out", type=cli.path, required=True, metavar="DIR", help="new folder")
    verb.add_argument(
        "--images", type=cli.count, required=True, metavar="N", help="labelled images: 70%% train, 10%% val, 20%% test"
    )
    verb.add_argument(
        "--videos",
        type=functools.partial(cli.count, minimum=0),
        default=0,
        metavar="N",
        help="unlabelled videos of moving infants (0)",
    )
    verb.add_argument(
        "--frames", type=cli.count, default=300, metavar="N", help=f"frames of each video, {FPS} per second (300)"
    )


def _add_infants(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "infants",
        infants,
        [
            "--out data/infants --images 40000",
            "--out data/infants --images 40000 --drawn 4",
            "--out data/infants --images 400 --split val --variety degradation",
            "--out data/films --videos 320 --frames 150 --split val --variety degradation",
        ],
    )
    verb.add_argument("--out", type=cli.path, required=True, metavar="DIR", help="everything is in DIR/SPLIT")
    kind = verb.add_mutually_exclusive_group(required=True)
    kind.add_argument("--images", type=cli.count, metavar="N", help="number of images, drawn into shards")
    kind.add_argument("--videos", type=cli.count, metavar="N", help="number of videos, each of another infant")
    verb.add_argument(
        "--drawn", type=cli.count, default=0, metavar="N", help="every Nth image is one of prepare synthetic (none)"
    )
    verb.add_argument(
        "--frames", type=cli.count, default=300, metavar="N", help=f"frames of each video, {FPS} per second (300)"
    )
    verb.add_argument("--split", choices=STYLES, default="train", help="split, whose styles it alone has (train)")
    verb.add_argument("--seed", type=int, default=0, help="seed of all that is random (0)")
    verb.add_argument(
        "--variety",
        choices=LEVELS,
        default="empty",
        help="what is varied: each level adds to the ones before it (empty: everything)",
    )
    _add_processes(verb, "draw")


def _add_processes(verb: argparse.ArgumentParser, action: str) -> None:
    group = verb.add_argument_group("processes")
    group.add_argument(
        "--processes",
        type=cli.count,
        default=os.cpu_count() or 1,
        metavar="N",
        help=f"processes that {action} (all cores)",
    )
    group.add_argument(
        "--shard", type=cli.part, default=(0, 1), metavar="I/N", help="the part of this machine, I from 0 to N - 1"
    )


def _add_split(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "split",
        split,
        [
            "annotations.json --images frames --out data/infant_pose",
            "annotations.json --images frames --out data/infant_pose --ratios 0.8 0.1 0.1",
        ],
    )
    verb.add_argument("annotations", type=cli.path, help="COCO keypoints; images have video_id and perhaps infant_id")
    verb.add_argument("--images", type=cli.path, required=True, metavar="DIR", help="folder of the images")
    verb.add_argument("--out", type=cli.path, required=True, metavar="DIR", help="new folder, in the layout of COCO")
    verb.add_argument(
        "--ratios",
        type=float,
        nargs=3,
        default=tuple(SPLIT_RATIOS.values()),
        metavar=("TRAIN", "VAL", "TEST"),
        help="fractions of the videos (0.7 0.1 0.2)",
    )
    verb.add_argument("--seed", type=int, default=0, help="seed of the random assignment (0)")
    verb.add_argument("--label", metavar="FIELD", help="field of the images by which to stratify")


def _add_tfds(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "tfds",
        tfds,
        [
            "infant_pose --manual-dir data/infant_pose --data-dir data/tfds",
            "coco_keypoints --manual-dir data/coco --data-dir data/tfds",
        ],
    )
    verb.add_argument("name", choices=BUILDERS, help="name of the data set")
    verb.add_argument(
        "--manual-dir", type=cli.path, required=True, metavar="DIR", help="annotations/ and a folder for each split"
    )
    verb.add_argument(
        "--data-dir",
        type=cli.path,
        required=True,
        metavar="DIR",
        help="the data set is written to DIR/NAME/VERSION",
    )


def _add_frames(parser: cli.Parser) -> None:
    verb = parser.add_verb(
        "frames", frames, ["VIDEOS --out data/frames", "VIDEOS --out data/frames --mosaic heads.json --shard 0/16"]
    )
    verb.add_argument(
        "videos",
        type=cli.path,
        nargs="+",
        metavar="VIDEOS",
        help="videos, or folders of them, without hidden files and results of predict",
    )
    verb.add_argument(
        "--out", type=cli.path, required=True, metavar="DIR", help="folder of the shards and their manifest"
    )
    group = verb.add_argument_group("frames")
    group.add_argument(
        "--fps", type=float, default=Settings.fps, help=f"frames per second; 0 for all ({Settings.fps:g})"
    )
    group.add_argument(
        "--longest-side",
        type=cli.count,
        default=Settings.longest_side,
        metavar="N",
        help=f"largest side in pixels ({Settings.longest_side})",
    )
    group.add_argument(
        "--quality",
        type=int,
        choices=range(1, 101),
        metavar="1…100",
        default=Settings.quality,
        help=f"quality of the JPEG files ({Settings.quality})",
    )
    group.add_argument(
        "--distinct",
        type=float,
        default=Settings.distinct,
        metavar="LEVELS",
        help=f"skip frames that differ less from the one before, in mean grey levels ({Settings.distinct:g})",
    )
    group.add_argument(
        "--crop", type=cli.path, metavar="FILE", help="JSON of boxes to crop to: {VIDEO: [[frame, x, y, w, h], …]}"
    )
    group.add_argument(
        "--mosaic", type=cli.path, metavar="FILE", help="JSON of boxes, such as heads, to make unrecognisable"
    )
    _add_processes(verb, "read videos")


def main(arguments: argparse.Namespace) -> None:
    """Runs the verb of a command line, such as synthetic."""
    try:
        arguments.run(arguments)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; check the path and the free space") from error


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
