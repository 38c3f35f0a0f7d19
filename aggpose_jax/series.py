"""The program `aggpose series`: cleans the keypoints of films, measures movements, and reports what can be trusted."""

import argparse
import csv
import dataclasses
import math
import pathlib
import sys
from typing import Any

import numpy as np

from aggpose_jax import cli, io, report
from aggpose_jax.errors import UserError
from aggpose_jax.recordings import recording
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import body_checks, calibration, feature_table, features, filter_report, table, torso
from aggpose_jax.timeseries.calibration import Calibration
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.series import Flag, Series
from aggpose_jax.timeseries.smoothing import FILTERS, Filter
from aggpose_jax.timeseries.verdict import Verdict

FILTER_REPORT = "filter_report.json"
STEPS = {  # field of Options: what the step does
    "abstain": "leave out keypoints that are more probably wrong than right; needs a calibration",
    "swaps": "exchange left and right back where they are exchanged for at most .23 s",
    "outliers": "leave out keypoints that are far from the frames around them",
    "fill": "interpolate across gaps of at most .17 s",
}


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("series"),
        "Cleans the keypoints of films that predict has found, and writes series.csv, features.csv and report.html\n"
        "beside them. The keypoints themselves are not changed.",
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
        "--calibration",
        type=cli.path,
        metavar="FILE",
        help="calibration of the network that found the keypoints (the network of the package has its own)",
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--report", action=argparse.BooleanOptionalAction, default=True,
        help="write report.html, and index.html over several films; reads the videos",
    )  # fmt: skip
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
    errors = calibration.read(arguments.calibration) if arguments.calibration else None
    failures = []
    folders = recording.find_recordings(arguments.results)
    for folder in folders:
        name = folder.name if folder == arguments.results else str(folder.relative_to(arguments.results))
        try:
            _process(folder, name, options, arguments, errors)
        except UserError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{error.filename}: cannot be written ({error.strerror}); copy {folder} to where it can be")
    if arguments.report and folders != [arguments.results]:
        print(f"index: {report.write_index(arguments.results)}")
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


def _process(
    folder: pathlib.Path, name: str, options: Options, arguments: argparse.Namespace, errors: Calibration | None
) -> None:
    """Writes the results of one recording beside its keypoints, and prints what was found."""
    found = recording.read(folder, name)
    if errors is None and found.facts.network == calibration.of_package().digest:
        errors = calibration.of_package()
    _check_network(found, errors)
    series = clean(found, options, errors)
    _write_table(series, arguments.align, folder / table.FILE)
    measured = features.of_persons(series.position, found.position, found.time, found.keypoint_set)
    feature_table.write(measured, errors, folder / feature_table.NAME)
    filtered = _write_filter_report(series, options, errors, folder / FILTER_REPORT)
    verdict = None
    if arguments.report:
        verdict = report.write(
            series,
            folder,
            settings=_settings(arguments),
            calibration=errors,
            features=_features_of(body_checks.principal(series), folder / feature_table.NAME),
            filter_report=filtered,
        )
    print(_summary(series, verdict), flush=True)


def _settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Returns the options of a command line that a report lists."""
    names = (*STEPS, "smooth", "cutoff", "window", "beta", "align", "calibration")
    given = {name: getattr(arguments, name) for name in names}
    return {name: str(value) if name == "calibration" else value for name, value in given.items() if value is not None}


def _features_of(person: int, path: pathlib.Path) -> list[dict[str, str]]:
    """Returns the lines of features.csv of one person."""
    with open(path, newline="", encoding="utf-8") as file:
        return [line for line in csv.DictReader(file) if line["person"] == str(person)]


def _check_network(found: Recording, errors: Calibration | None) -> None:
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


def _write_filter_report(
    series: Series, options: Options, errors: Calibration | None, path: pathlib.Path
) -> dict[str, Any] | None:
    """Writes and returns the report of the filter; without a filter, removes that of an earlier call."""
    if options.smoothing is None:
        path.unlink(missing_ok=True)
        return None
    before = clean(series.recording, dataclasses.replace(options, smoothing=None), errors)
    content = filter_report.report(before, series, options.smoothing)
    io.write_json(path, content, indent=1)
    return content


def _summary(series: Series, verdict: Verdict | None) -> str:
    """Returns a line with the number of frames, the percentage of keypoints with each flag, and the verdict."""
    counts = np.bincount(series.flag.ravel(), minlength=len(Flag)) / series.flag.size
    parts = ", ".join(f"{flag.name.lower()} {counts[flag]:.1%}" for flag in Flag if counts[flag])
    name, frames = series.recording.name, len(series.position)
    missing = torso.corners(series.recording.keypoint_set) is None
    note = "; no shoulders and hips: nothing is in torso lengths, exchanges and outliers are not found" * missing
    judged = verdict.judgements.items() if verdict else ()
    return f"{name}: {frames} frames, keypoints {parts}{note}" + "".join(
        f"; {subject} {one.level.words}" for subject, one in judged
    )


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
