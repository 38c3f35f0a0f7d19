"""Makes what training reads: python -m aggpose_jax.prepare VERB … (--help says what each takes)."""

import argparse
import os
import pathlib

from tqdm import tqdm

from aggpose_jax import io
from aggpose_jax.data import writers
from aggpose_jax.data.extraction import Settings, extract, find_videos
from aggpose_jax.data.split import split_directory
from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement
from aggpose_jax.data.tfds import BUILDERS, build
from aggpose_jax.errors import UserError, reports_user_errors

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
FPS = 30


def synthetic(arguments: argparse.Namespace) -> None:
    """Synthetic infants as a COCO directory of 21 keypoints, and as videos with the truth of every frame."""
    out = writers.new_folder(arguments.out)
    counts = {name: round(share * arguments.images) for name, share in SHARES.items()}
    # Val and test are infants of which training sees no sheet, skin, cloth or proportion, each with its own seed.
    for seed, (name, count) in enumerate(counts.items()):
        source = SyntheticInfants(count, split="train" if name == "train" else "test", seed=seed)
        writers.write_coco(source, out, name, threads=os.cpu_count() or 1)
    if arguments.videos:
        _write_videos(SyntheticMovement(arguments.videos, arguments.frames, fps=FPS), arguments, out)
    print(f"{out}: {counts} images, {arguments.videos} videos")
    print(f"train: python -m aggpose_jax.main --config configs/infant_l.py:s --config.data_dir={out}")


def _write_videos(source: SyntheticMovement, arguments: argparse.Namespace, out: pathlib.Path) -> None:
    (out / "videos").mkdir()
    for video in tqdm(range(arguments.videos), unit="video"):
        first = video * arguments.frames
        frames = (source[first + frame]["image"] for frame in range(arguments.frames))
        writers.write_video(frames, out / "videos" / f"video_{video + 1:06}.mp4", FPS)
    io.write_json(out / "annotations" / "videos.json", source.ground_truth())


def split(arguments: argparse.Namespace) -> None:
    """Train, val and test of a COCO file, so that no video is in two of them."""
    shares = dict(zip(SHARES, arguments.shares, strict=True))
    counts = split_directory(
        arguments.annotations, arguments.images, arguments.out, shares, arguments.seed, arguments.label
    )
    print(f"{arguments.out}: " + ", ".join(f"{count} videos or infants to {name}" for name, count in counts.items()))


def tfds(arguments: argparse.Namespace) -> None:
    """A data set of TensorFlow Datasets from a COCO directory."""
    built = build(arguments.name, arguments.manual_dir, arguments.data_dir)
    print(f"{built}: read it with --config.data={arguments.name} --config.data_dir={arguments.data_dir}")


def frames(arguments: argparse.Namespace) -> None:
    """Shards of JPEG frames from videos, for pretraining; the same command goes on where it was stopped."""
    settings = Settings(arguments.fps, arguments.longest_side, arguments.quality, arguments.distinct)
    files_by_name = find_videos(arguments.videos)
    manifest = extract(
        files_by_name, arguments.out, settings, crop=arguments.crop, mosaic=arguments.mosaic,
        processes=arguments.processes, part=arguments.shard,
    )  # fmt: skip
    if manifest is None:
        print(f"{arguments.out}: this part is done; the last one writes the manifest")
        return
    count, size = sum(shard.frames for shard in manifest.shards), sum(shard.bytes for shard in manifest.shards)
    print(f"{arguments.out}: {count:,} frames of {len(manifest.shards):,} videos, {size / 1e9:.3g} GB")
    print(f"train: python -m aggpose_jax.main --config configs/mae_mit.py --config.data_dir={arguments.out}")
    if manifest.skipped:
        reason = next(iter(manifest.skipped.values()))
        raise UserError(f"{len(manifest.skipped)} videos are left out, all named in the manifest: {reason}")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `run` is the function of its verb."""
    parser = argparse.ArgumentParser(prog="python -m aggpose_jax.prepare", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("synthetic", help=synthetic.__doc__)
    verb.add_argument("--out", type=pathlib.Path, required=True, help="new folder")
    verb.add_argument("--images", type=_count, required=True, help="labelled images: .7 train, .1 val, .2 test")
    verb.add_argument("--videos", type=int, default=0, help="unlabelled films of moving infants")
    verb.add_argument("--frames", type=_count, default=300, help=f"of each film, at {FPS} a second")
    verb.set_defaults(run=synthetic)

    verb = verbs.add_parser("split", help=split.__doc__)
    verb.add_argument("annotations", type=pathlib.Path, help="COCO keypoints; images with video_id, perhaps infant_id")
    verb.add_argument("--images", type=pathlib.Path, required=True, help="folder of the images")
    verb.add_argument("--out", type=pathlib.Path, required=True, help="new folder, in the layout of COCO")
    verb.add_argument("--shares", type=float, nargs=3, default=tuple(SHARES.values()), metavar=tuple(SHARES))
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--label", help="field of the images to stratify by")
    verb.set_defaults(run=split)

    verb = verbs.add_parser("tfds", help=tfds.__doc__)
    verb.add_argument("name", choices=BUILDERS)
    verb.add_argument("--manual-dir", type=pathlib.Path, required=True, help="annotations/ and a folder for each split")
    verb.add_argument("--data-dir", type=pathlib.Path, required=True, help="gets NAME/VERSION/")
    verb.set_defaults(run=tfds)

    verb = verbs.add_parser("frames", help=frames.__doc__)
    verb.add_argument("videos", type=pathlib.Path, nargs="+", metavar="VIDEOS", help="files, or folders of them")
    verb.add_argument("--out", type=pathlib.Path, required=True, help="folder of the shards and their manifest")
    verb.add_argument("--fps", type=float, default=Settings.fps, help="frames a second; 0 for all")
    verb.add_argument("--longest-side", type=_count, default=Settings.longest_side, help="pixels, at most")
    verb.add_argument("--quality", type=int, choices=range(1, 101), metavar="1…100", default=Settings.quality)
    verb.add_argument(
        "--distinct", type=float, default=Settings.distinct, help="grey levels from frame to frame, at least"
    )
    verb.add_argument("--crop", type=pathlib.Path, help="JSON of boxes to cut to: {VIDEO: [[frame, x, y, w, h], …]}")
    verb.add_argument("--mosaic", type=pathlib.Path, help="JSON of boxes, such as heads, to make unrecognisable")
    verb.add_argument("--processes", type=_count, default=os.cpu_count() or 1, help="that read videos")
    verb.add_argument("--shard", type=_part, default=(0, 1), metavar="I/N", help="part of one machine, I from 0")
    verb.set_defaults(run=frames)
    return parser.parse_args(arguments)


def _part(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with I from 0 to N - 1")
    return int(index), int(count)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


@reports_user_errors
def main() -> None:
    """Runs the verb of the command line."""
    arguments = parse()
    try:
        arguments.run(arguments)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; check the path and the room on the disk") from error


if __name__ == "__main__":
    main()
