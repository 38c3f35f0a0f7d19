"""Writes and reads series.csv, the table of a series: one line for each keypoint of each person in each frame.

The columns are frame, time, person, keypoint; x and y in pixels; x_torso and y_torso in torso units, see `torso`; the
expected error in torso lengths; and the flag, a name of `Flag` in lower case. A value that is missing is empty.
"""

import csv
import itertools
import math
import pathlib

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries.series import Flag, Series

FILE = "series.csv"
HEADER = ("frame", "time", "person", "keypoint", "x", "y", "x_torso", "y_torso", "expected_error", "flag")


def write(series: Series, aligned: np.ndarray, path: pathlib.Path) -> None:
    """Writes a series atomically.

    Args:
      series: the series.
      aligned: [T, P, K, 2] its positions in torso units.
      path: of the table.
    """
    poses = series.recording.poses
    flags = [flag.name.lower() for flag in Flag]
    with io.atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER)
        for frame, (number, time) in enumerate(zip(poses.numbers, poses.times, strict=True)):
            for person, k in itertools.product(*map(range, series.flag.shape[1:])):
                lines.writerow((
                    number, f"{time:.6f}", person, poses.keypoint_set.names[k],
                    *(_text(value, 3) for value in series.position[frame, person, k]),
                    *(_text(value, 5) for value in aligned[frame, person, k]),
                    _text(series.expected_error[frame, person, k], 4), flags[series.flag[frame, person, k]],
                ))  # fmt: skip


def read(path: pathlib.Path, recording: Recording) -> Series:
    """Reads the series of a recording from a table that `write` has written.

    Raises:
      UserError: the file cannot be read, or is not the table of this recording.
    """
    names = recording.keypoint_set.names
    frames, persons, _ = recording.confidence.shape
    expected = itertools.product(recording.poses.numbers.tolist(), range(persons), names)
    values, flags = [], []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for line, key in itertools.zip_longest(csv.DictReader(file), expected):
                if key is None or (int(line["frame"]), int(line["person"]), line["keypoint"]) != key:
                    raise ValueError(f"not the line of {key}" if key else "too many lines")
                values.append([float(line[column] or "nan") for column in ("x", "y", "expected_error")])
                flags.append(Flag[line["flag"].upper()])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        place = f"line {len(flags) + 2}"
        raise UserError(f"{path}: {place} is damaged ({error}); make it again by aggpose series") from error
    shape = (frames, persons, len(names))
    array = np.reshape(values, (*shape, 3))
    return Series(recording, array[..., :2], np.reshape(flags, shape).astype(np.uint8), array[..., 2])


def _text(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
