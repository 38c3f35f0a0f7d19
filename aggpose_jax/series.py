"""The program `aggpose series`: cleans the keypoints of films and measures what was done to them."""

import argparse
import dataclasses
import math
import pathlib
import sys

import numpy as np

from aggpose_jax import cli, io
from aggpose_jax.errors import UserError
from aggpose_jax.recordings import recording
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import filter_report, table, torso
from aggpose_jax.timeseries.abstention import ErrorModel
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.series import Flag, Series
from aggpose_jax.timeseries.smoothing import FILTERS, Filter

FILTER_REPORT = "filter_report.json"
STEPS = {  # field of Options: what the step does
    "abstain": "leave out keypoints that are more probably wrong than right; needs --calibration",
    "swaps": "exchange left and right back where they are exchanged for at most .23 s",
    "outliers": "leave out keypoints that are far from the frames around them",
    "fill": "interpolate across gaps of at most .17 s",
}


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("series"),
        "Cleans the keypoints of films that predict has found, and writes series.csv beside them.\n"
        "The keypoints themselves are not changed.",
        [
            "keypoints",
            "keypoints --calibration calibration.json --smooth butterworth --cutoff 8",
            "keypoints --no-swaps",
        ],
    )
    parser.add_argument("results", type=cli.path, metavar="RESULTS", help="folder that predict wrote")
    group = parser.add_argument_group("steps", "Taken in this order, all but smoothing unless they are switched off.")
    for name, help in STEPS.items():
        group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=True, help=help)
    group.add_argument("--smooth", choices=FILTERS, help="smoothing filter (none)")
    group.add_argument("--cutoff", type=_positive, metavar="HZ", help="of butterworth (6) and oneeuro (1)")
    group.add_argument("--window", type=_positive, metavar="SECONDS", help="of savgol (.23)")
    group.add_argument(
        "--beta", type=_positive, metavar="HZ",
        help="of oneeuro: increase of the cutoff for each torso length per second (0)",
    )  # fmt: skip
    group = parser.add_argument_group("units")
    group.add_argument(
        "--align", choices=["film", "frame"], default="film",
        help="origin and direction of torso units: the median of the film, or those of each frame (film)",
    )  # fmt: skip
    group.add_argument(
        "--calibration", type=cli.path, metavar="FILE", help="calibration of the network that found the keypoints"
    )
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def main(arguments: argparse.Namespace) -> None:
    """Processes each recording in a folder; those that cannot be processed are listed at the end."""
    options = Options(**{name: getattr(arguments, name) for name in STEPS}, smoothing=_filter(arguments))
    errors = read_calibration(arguments.calibration) if arguments.calibration else None
    failures = []
    folders = recording.find_recordings(arguments.results)
    for folder in folders:
        name = folder.name if folder == arguments.results else str(folder.relative_to(arguments.results))
        try:
            _process(folder, name, options, arguments.align, errors)
        except UserError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{error.filename}: cannot be written ({error.strerror}); copy {folder} to where it can be")
    if len(folders) > 1:
        print("".join(f"failed: {failure}\n" for failure in failures), end="")
    if failures:
        listed = f"{len(failures)} of {len(folders)} recordings failed, listed above; the first: {failures[0]}"
        raise UserError(failures[0] if len(folders) == 1 else listed)


def _filter(arguments: argparse.Namespace) -> Filter | None:
    """Returns the smoothing filter of a command line; None without one."""
    given = {name: getattr(arguments, name) for name in ("cutoff", "window", "beta")}
    given = {name: value for name, value in given.items() if value is not None}
    fields = dataclasses.fields(FILTERS[arguments.smooth]) if arguments.smooth else ()
    for name in given.keys() - {field.name for field in fields}:
        raise UserError(f"--{name} is no option of {arguments.smooth or 'a series without --smooth'}; leave it out")
    return FILTERS[arguments.smooth](**given) if arguments.smooth else None


def read_calibration(path: pathlib.Path) -> ErrorModel:
    """Returns the calibration in a file, see `calibration.read`."""
    from aggpose_jax.timeseries import calibration  # type: ignore[attr-defined]

    return calibration.read(path)


def _process(folder: pathlib.Path, name: str, options: Options, align: str, errors: ErrorModel | None) -> None:
    """Writes the results of one recording beside its keypoints, and prints what was found."""
    found = recording.read(folder, name)
    _check_network(found, errors)
    series = clean(found, options, errors)
    _write_table(series, align, folder / table.FILE)
    _write_filter_report(series, options, errors, folder / FILTER_REPORT)
    print(_summary(series), flush=True)


def _check_network(found: Recording, errors: ErrorModel | None) -> None:
    if errors is not None and errors.digest != found.facts.network:
        raise UserError(
            f"{found.name}: its keypoints are of the network {found.facts.network}, but the calibration is of "
            f"{errors.digest}; give the calibration of the same network"
        )


def _write_table(series: Series, align: str, path: pathlib.Path) -> None:
    raw, keypoint_set = series.recording.position, series.recording.keypoint_set
    frame = torso.of_film(raw, keypoint_set)
    if align == "frame":
        frame = torso.of_frames(series.position, keypoint_set, frame.length)
    table.write(series, torso.align(series.position, frame), path)


def _write_filter_report(series: Series, options: Options, errors: ErrorModel | None, path: pathlib.Path) -> None:
    """Writes the report of the filter; without one, removes that of an earlier call."""
    if options.smoothing is None:
        path.unlink(missing_ok=True)
        return
    before = clean(series.recording, dataclasses.replace(options, smoothing=None), errors)
    io.write_json(path, filter_report.report(before, series, options.smoothing), indent=1)


def _summary(series: Series) -> str:
    """Returns a line with the number of frames and the percentage of keypoints with each flag."""
    counts = np.bincount(series.flag.ravel(), minlength=len(Flag)) / series.flag.size
    parts = ", ".join(f"{flag.name.lower()} {counts[flag]:.1%}" for flag in Flag if counts[flag])
    name, frames = series.recording.name, len(series.position)
    missing = torso.corners(series.recording.keypoint_set) is None
    note = "; no shoulders and hips: nothing is in torso lengths, exchanges and outliers are not found" * missing
    return f"{name}: {frames} frames, keypoints {parts}{note}"


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
