"""DeepLabCut's tables of analysed videos, as CSV and as HDF5: a row a frame, columns scorer, bodyparts, coords.

Where a frame has several persons, a level `individuals` follows the scorer, as in multi-animal projects. x and y are in
pixels, `likelihood` is the score, what was not found is empty (CSV) or nan (HDF5). Times are not kept.
"""

import csv
import pathlib

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.poses import Poses, collect

SCORER = "aggpose_jax"
COORDS = ("x", "y", "likelihood")
KEY = "df_with_missing"  # of the table in an HDF5 file, as DeepLabCut names it


def write(poses: Poses, path: pathlib.Path) -> None:
    """Writes the CSV, atomically."""
    levels, columns = _columns(poses)
    with io.atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerows([level, *values] for level, values in zip(levels, zip(*columns, strict=True), strict=True))
        for number, row in zip(poses.numbers, _table(poses), strict=True):
            lines.writerow([number, *("" if np.isnan(value) else f"{value:.4f}" for value in row)])


def write_h5(poses: Poses, path: pathlib.Path) -> None:
    """Writes the HDF5 file, atomically; needs pandas and PyTables.

    Raises:
      UserError: they are not installed.
    """
    pandas = import_pandas()
    levels, columns = _columns(poses)
    index = pandas.MultiIndex.from_tuples(columns, names=levels)
    table = pandas.DataFrame(_table(poses), index=poses.numbers, columns=index)
    with io.atomic_path(path) as temporary:
        # What pandas 3 writes as format "table", pandas 2, which DeepLabCut needs, cannot read.
        table.to_hdf(temporary, key=KEY, format="fixed", mode="w")


def read(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads a CSV of DeepLabCut, of one or of several individuals.

    Raises:
      UserError: the file is none, or of other body parts.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        heads = next(n for n, line in enumerate(lines) if line[0] == "coords") + 1
        columns = list(zip(*(line[1:] for line in lines[:heads]), strict=True))
        numbers = [int(line[0]) for line in lines[heads:]]
        table = np.array([[float(value or "nan") for value in line[1:]] for line in lines[heads:]], np.float64)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (StopIteration, ValueError, IndexError) as error:
        raise UserError(f"{path} is no table of DeepLabCut ({error}); check the file") from error
    return _poses(path, columns, table, numbers, keypoint_set)


def read_h5(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads an HDF5 file of DeepLabCut.

    Raises:
      UserError: the file is none, or of other body parts; or pandas and PyTables are not installed.
    """
    pandas = import_pandas()
    try:
        table = pandas.read_hdf(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is no table of DeepLabCut ({error}); check the file") from error
    return _poses(path, list(table.columns), table.to_numpy(), table.index.tolist(), keypoint_set)


def import_pandas():
    """pandas, with PyTables beside it.

    Raises:
      UserError: one of them is not installed.
    """
    try:
        import pandas
        import tables  # noqa: F401
    except ImportError as error:
        raise UserError(f"HDF5 files of DeepLabCut need {error.name}: pip install -r requirements-extras.txt") from None
    return pandas


def _columns(poses: Poses) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of the levels of the header, and the values of each column in them."""
    persons = _persons(poses)
    parts = [(name, coord) for name in poses.keypoint_set.names for coord in COORDS]
    if persons == 1:
        return ["scorer", "bodyparts", "coords"], [(SCORER, *part) for part in parts]
    individuals = [f"individual{number + 1}" for number in range(persons)]
    columns = [(SCORER, individual, *part) for individual in individuals for part in parts]
    return ["scorer", "individuals", "bodyparts", "coords"], columns


def _persons(poses: Poses) -> int:
    return int(poses.person.max(initial=0)) + 1


def _table(poses: Poses) -> np.ndarray:
    """[F, persons · K · 3] with nan where a frame lacks a person."""
    table = np.full((len(poses.numbers), _persons(poses), len(poses.keypoint_set), 3), np.nan)
    table[poses.row, poses.person] = poses.keypoints
    return table.reshape(len(table), np.prod(table.shape[1:]))


def _poses(path, columns, table, numbers, keypoint_set: KeypointSet) -> Poses:
    individuals = list(dict.fromkeys(column[1] if len(column) == 4 else "" for column in columns))
    expected = [(*column[:-2][1:], name, coord) for column in columns[:: 3 * len(keypoint_set)]
                for name in keypoint_set.names for coord in COORDS]  # fmt: skip
    if [tuple(column[1:]) for column in columns] != expected:
        raise UserError(f"{path} has other body parts than {keypoint_set.name}; name the keypoint set of the file")
    dense = table.reshape(len(table), len(individuals), len(keypoint_set), 3)
    found = [persons[~np.isnan(persons).all((1, 2))] for persons in dense]
    poses = collect(keypoint_set, [np.nan] * len(dense), found, numbers)
    present = np.argwhere(~np.isnan(dense).all((2, 3)))
    return Poses(keypoint_set, poses.numbers, poses.times, present[:, 0], present[:, 1], poses.keypoints)
