"""Writes and reads a tidy CSV file: one line per keypoint of a person in a frame.

The columns are frame, time, person, keypoint, x, y, score. `time` is in seconds since the first frame, x and y are in
pixels. A frame without a pose has one line whose person, keypoint, x, y and score are empty, so that the time of every
frame is stored. Images have no time, and their file names are in an additional last column, `image`.
"""

import csv
import math
import pathlib

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.poses import Poses, collect

HEADER = ("frame", "time", "person", "keypoint", "x", "y", "score")


def write(poses: Poses, path: pathlib.Path) -> None:
    """Writes poses as a tidy CSV file, whose columns the module docstring lists, atomically."""
    with io.atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER + ("image",) * bool(poses.files))
        for frame, (number, time) in enumerate(zip(poses.numbers, poses.times, strict=True)):
            start = (number, "" if math.isnan(time) else f"{time:.6f}")
            end = poses.files[frame : frame + 1]
            for row in poses.rows(frame):
                for name, (x, y, score) in zip(poses.keypoint_set.names, poses.keypoints[row], strict=True):
                    lines.writerow((*start, poses.person[row], name, f"{x:.3f}", f"{y:.3f}", f"{score:.4f}", *end))
            if not poses.rows(frame):
                lines.writerow((*start, *5 * ("",), *end))


def read(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads poses from a tidy CSV file that `write` has written.

    Raises:
      UserError: the file cannot be read, lacks a column, or has a keypoint that is not in the keypoint set.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    names = list(keypoint_set.names)
    frames: dict[int, tuple[float, dict[int, np.ndarray], str | None]] = {}
    try:
        for line in lines:
            time = float(line["time"] or "nan")
            _, persons, _ = frames.setdefault(int(line["frame"]), (time, {}, line.get("image")))
            if line["keypoint"]:
                pose = persons.setdefault(int(line["person"]), np.full((len(names), 3), np.nan))
                pose[names.index(line["keypoint"])] = [float(line[key]) for key in ("x", "y", "score")]
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: is not a table of {keypoint_set.name} poses ({error}); check the file") from error
    found = [
        np.reshape([pose for _, pose in sorted(persons.items())], (-1, len(names), 3))
        for _, persons, _ in frames.values()
    ]
    files = tuple(image for *_, image in frames.values() if image)
    numbers = [sorted(persons) for _, persons, _ in frames.values()]
    return collect(keypoint_set, [time for time, *_ in frames.values()], found, list(frames), files, numbers)


def keypoint_names(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the names of the keypoints of the first pose in a tidy CSV file; none if there is no pose.

    Raises:
      UserError: the file cannot be read or has no column of keypoints.
    """
    names: dict[str, None] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                if line["keypoint"] in names:
                    break
                if line["keypoint"]:
                    names[line["keypoint"]] = None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: is not a table of poses ({error}); check the file") from error
    return tuple(names)
