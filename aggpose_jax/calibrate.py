"""The program `aggpose calibrate`: measures what the scores of a network say about its errors."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from aggpose_jax import cli
from aggpose_jax.errors import UserError
from aggpose_jax.recordings import recording
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import calibration as calibrations
from aggpose_jax.timeseries import fitting, truth
from aggpose_jax.timeseries.calibration import Calibration
from aggpose_jax.timeseries.clean import Options, clean
from aggpose_jax.timeseries.reliability import ENOUGH_FILMS


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser(
        cli.command("calibrate"),
        "Measures, on films whose keypoints are known, what the scores of a network say about its errors.\n\n"
        "The films are predicted first, with tracking, so that one prediction serves calibration and all else:\n"
        "  aggpose prepare infants --out films --videos 320 --frames 150 --split val --variety degradation\n"
        "  aggpose predict films/val/videos --out keypoints --no-overlay\n"
        "Give films of 200 infants or more that the network has not seen in training; stills have no movement.",
        [
            "keypoints --truth films/val/annotations/videos --out calibration.json --domain 'synthetic infants'",
            "keypoints --truth labels --out ward.json --domain 'supine infants of our ward, one camera above'",
        ],
    )
    parser.add_argument("results", type=cli.path, metavar="RESULTS", help="folder that predict wrote for the films")
    parser.add_argument(
        "--truth", type=cli.path, required=True, metavar="FOLDER",
        help="COCO keypoint annotations FILM.json of each film, with an image for each frame",
    )  # fmt: skip
    parser.add_argument("--out", type=cli.path, required=True, metavar="FILE", help="calibration to write (.json)")
    parser.add_argument(
        "--domain", required=True, metavar="TEXT", help="what the films show; reports name it beside each error"
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Fits a calibration and writes it.

    Raises:
      UserError: too few films can be used, or the file cannot be written; or some films cannot be used, after the
        calibration of the others was written.
    """
    films, faults = read_films(arguments.results, arguments.truth)
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)
    if not films:
        raise UserError(f"no film of {arguments.results} can be used; fix the first: {faults[0]}")
    calibration = fitting.fit(films, arguments.domain, cleaned)
    _write(calibration, arguments.out)
    print(summary(calibration))
    print(f"wrote {arguments.out}")
    if faults:
        raise UserError(
            f"{len(faults)} films were left out of {arguments.out}; fix them and rerun, see the lines above"
        )


def _write(calibration: Calibration, path: pathlib.Path) -> None:
    try:
        calibrations.write(calibration, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error


def cleaned(recording: Recording, calibration: Calibration) -> np.ndarray:
    """Returns the positions [T, P, K, 2] of the series that `aggpose series` makes of a recording by default."""
    return clean(recording, Options(), calibration).position


def read_films(results: pathlib.Path, folder: pathlib.Path) -> tuple[list[truth.Film], list[str]]:
    """Reads the recordings of a folder of results with their truth.

    Returns:
      The films; and a message for each that cannot be used.

    Raises:
      UserError: there is no recording, or the recordings are of different networks or keypoint sets.
    """
    films: list[truth.Film] = []
    faults: list[str] = []
    for place in tqdm(recording.find_recordings(results), unit="film"):
        name = str(place.relative_to(results)) if place != results else place.name
        try:
            films.append(truth.match(recording.read(place, name), folder / f"{name}.json"))
        except UserError as error:
            faults.append(str(error))
    check_agreement(films)
    return films, faults


def check_agreement(films: Sequence[truth.Film]) -> None:
    """Raises a UserError if films are of different networks or keypoint sets."""
    for film in films:
        one, other = films[0].recording, film.recording
        if (one.facts.network, one.keypoint_set) != (other.facts.network, other.keypoint_set):
            raise UserError(
                f"{one.name} and {other.name} were predicted with different networks; calibrate each with its own films"
            )


def summary(calibration: Calibration) -> str:
    """Returns the text that the program prints of a calibration."""
    worst, best = ([float(curve.expected_error[end]) for curve in calibration.curves] for end in (0, -1))
    lines = [
        f"{calibration.films} films of {calibration.infants} infants: {calibration.domain}",
        f"expected errors: {min(best):.3f} to {max(worst):.3f} torso lengths from the highest to the lowest score",
    ]
    if calibration.films >= ENOUGH_FILMS:
        values = calibration.reliability.values()
        lines.append(f"{sum(value.measurable for value in values)} of {len(values)} features can be measured")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in calibration.warnings)])


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
