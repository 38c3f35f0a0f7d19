"""The program `aggpose export`: writes the recordings of a job of `aggpose predict` in other file formats."""

import argparse
import functools
import os
import pathlib
import sys
from collections.abc import Sequence

from aggpose_jax import cli
from aggpose_jax.errors import UserError
from aggpose_jax.inference.sources import as_text
from aggpose_jax.recordings import formats, recording


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("export"),
        "Writes the keypoints of predicted videos in other file formats, without predicting them again.",
        ["keypoints --format movement", "keypoints/film --format deeplabcut,nwb --out tables"],
    )
    parser.add_argument(
        "results", type=cli.path, metavar="RESULTS", help="folder that predict wrote, or of a video in it"
    )
    parser.add_argument(
        "--format", required=True, dest="formats", metavar="A,B,…",
        type=functools.partial(cli.names, kind="format", known=formats.NAMES),
        help=f"file formats, of {','.join(formats.NAMES)}; csv, the table that is read, is written with --out only",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=cli.path, metavar="DIR", help="folder for the files, one folder a video (beside keypoints.csv)"
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Writes every recording in a folder of results; those that cannot be read or written are listed."""
    formats.check_libraries(arguments.formats)
    folders = recording.find_recordings(arguments.results)
    failures = []
    for folder in folders:
        name = folder.relative_to(arguments.results).as_posix()
        name = arguments.results.resolve().name if name == "." else name
        target = arguments.out / name if arguments.out else folder
        try:
            export(folder, name, target, arguments.formats)
        except UserError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{target}: cannot be written ({error.strerror or error}); give another --out")
    print(f"{len(folders) - len(failures)} of {len(folders)} recordings written as {', '.join(arguments.formats)}")
    if len(failures) > 1:
        print(*failures, sep="\n", file=sys.stderr)
    if failures:
        listed = f"{len(failures)} of {len(folders)} recordings of {arguments.results} failed, listed above"
        raise UserError(failures[0] if len(failures) == 1 else listed)


def export(folder: pathlib.Path, name: str, target: pathlib.Path, names: Sequence[str]) -> None:
    """Writes a recording in several formats.

    Args:
      folder: folder of the recording.
      name: of the recording.
      target: folder of the files. If it is that of a recording, its keypoints.csv is not replaced.
      names: names of the formats.

    Raises:
      UserError: the recording cannot be read, or a format cannot hold it.
      OSError: a file cannot be written.
    """
    read = recording.read(folder, as_text(name))
    if (target / recording.FACTS).exists():
        names = [one for one in names if one != "csv"]
    os.makedirs(target, exist_ok=True)
    formats.write_poses(read.poses, target, folder.name, names)
    formats.write_recording(read, target, names)


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
