"""Makes what training reads: python -m aggpose_jax.prepare VERB … (--help says what each takes)."""

import argparse
import os
import pathlib

from tqdm import tqdm

from aggpose_jax.data import files
from aggpose_jax.data.split import split_directory
from aggpose_jax.data.synthetic import SyntheticInfants, SyntheticMovement
from aggpose_jax.data.tfds import BUILDERS, build
from aggpose_jax.errors import UserError, reports_user_errors

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
FPS = 30


def synthetic(arguments: argparse.Namespace) -> None:
    """Synthetic infants as a COCO directory of 21 keypoints, and as videos with the truth of every frame."""
    out = files.new_folder(arguments.out)
    counts = {name: round(share * arguments.images) for name, share in SHARES.items()}
    # Val and test are infants of which training sees no sheet, skin, cloth or proportion, each with its own seed.
    for seed, (name, count) in enumerate(counts.items()):
        source = SyntheticInfants(count, split="train" if name == "train" else "test", seed=seed)
        files.write_coco(source, out, name, threads=os.cpu_count() or 1)
    if arguments.videos:
        _write_videos(SyntheticMovement(arguments.videos, arguments.frames, fps=FPS), arguments, out)
    print(f"{out}: {counts} images, {arguments.videos} videos")
    print(f"train: python -m aggpose_jax.main --config configs/infant_s.py --config.data_dir={out}")


def _write_videos(source: SyntheticMovement, arguments: argparse.Namespace, out: pathlib.Path) -> None:
    (out / "videos").mkdir()
    for video in tqdm(range(arguments.videos), unit="video"):
        first = video * arguments.frames
        frames = (source[first + frame]["image"] for frame in range(arguments.frames))
        files.write_video(frames, out / "videos" / f"video_{video + 1:06}.mp4", FPS)
    files.write_json(source.ground_truth(), out / "annotations" / "person_keypoints_videos.json")


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
    return parser.parse_args(arguments)


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
