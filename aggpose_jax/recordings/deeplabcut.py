"""Writes and reads DeepLabCut's tables of analysed videos as CSV and HDF5.

A table has one row per frame and the column levels scorer, bodyparts and coords. If a frame has several persons, a
level `individuals` follows the scorer, as in multi-animal projects. x and y are in pixels, `likelihood` is the score; a
pose that was not found is NaN, in CSV `nan`. The format does not store times.
"""

import csv
import pathlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.poses import Poses, collect

SCORER = "aggpose_jax"
COORDS = ("x", "y", "likelihood")
KEY = "df_with_missing"  # key of the table in an HDF5 file, as DeepLabCut names it


def write(poses: Poses, path: pathlib.Path) -> None:
    """Writes poses as a DeepLabCut table in CSV, atomically."""
    levels, columns = _columns(poses)
    with io.atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerows([level, *values] for level, values in zip(levels, zip(*columns, strict=True), strict=True))
        for number, row in zip(poses.numbers, _table(poses), strict=True):
            # An empty first line would be read by pandas as the names of the index.
            lines.writerow([number, *("nan" if np.isnan(value) else f"{value:.4f}" for value in row)])


def write_h5(poses: Poses, path: pathlib.Path) -> None:
    """Writes poses as a DeepLabCut table in HDF5, atomically. Requires pandas and PyTables.

    Raises:
      UserError: pandas or PyTables is not installed.
    """
    pandas = import_pandas()
    levels, columns = _columns(poses)
    index = pandas.MultiIndex.from_tuples(columns, names=levels)
    table = pandas.DataFrame(_table(poses), index=poses.numbers, columns=index)
    with io.atomic_path(path) as temporary:
        # DeepLabCut needs pandas 2, which cannot read format "table" as pandas 3 writes it.
        table.to_hdf(temporary, key=KEY, format="fixed", mode="w")


def read(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads poses from a DeepLabCut table in CSV with one or several individuals.

    Raises:
      UserError: the file cannot be read, is not a DeepLabCut table, or has other body parts.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        header_length = next(n for n, line in enumerate(lines) if line[0] == "coords") + 1
        columns = list(zip(*(line[1:] for line in lines[:header_length]), strict=True))
        numbers = [int(line[0]) for line in lines[header_length:]]
        table = np.array([[float(value or "nan") for value in line[1:]] for line in lines[header_length:]], np.float64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (StopIteration, ValueError, IndexError) as error:
        raise UserError(f"{path}: is not a DeepLabCut table ({error}); check the file") from error
    return _to_poses(path, columns, table, numbers, keypoint_set)


def read_h5(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads poses from a DeepLabCut table in HDF5, with one or several individuals.

    Raises:
      UserError: the file is not a DeepLabCut table or has other body parts, or pandas or PyTables is not installed.
    """
    pandas = import_pandas()
    try:
        table = pandas.read_hdf(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: is not a DeepLabCut table ({error}); check the file") from error
    return _to_poses(path, list(table.columns), table.to_numpy(), table.index.tolist(), keypoint_set)


def import_pandas() -> ModuleType:
    """Returns the module pandas after checking that PyTables is installed too.

    Raises:
      UserError: one of them is not installed.
    """
    try:
        import pandas
        import tables  # noqa: F401
    except ImportError as error:
        raise UserError(f"DeepLabCut HDF5 files need {error.name}: pip install 'aggpose_jax[hdf5]'") from None
    module: ModuleType = pandas
    return module


def _columns(poses: Poses) -> tuple[list[str], list[tuple[str, ...]]]:
    """Returns the names of the levels of the table's header, and for each column its values at these levels."""
    persons = _person_count(poses)
    parts = [(name, coord) for name in poses.keypoint_set.names for coord in COORDS]
    if persons == 1:
        return ["scorer", "bodyparts", "coords"], [(SCORER, *part) for part in parts]
    individuals = [f"individual{number + 1}" for number in range(persons)]
    columns: list[tuple[str, ...]] = [(SCORER, individual, *part) for individual in individuals for part in parts]
    return ["scorer", "individuals", "bodyparts", "coords"], columns


def _person_count(poses: Poses) -> int:
    return int(poses.person.max(initial=0)) + 1


def _table(poses: Poses) -> np.ndarray:
    """Returns the values of the table of F frames, [F, persons · K · 3]; NaN where a person is missing in a frame."""
    table = np.full((len(poses.numbers), _person_count(poses), len(poses.keypoint_set), 3), np.nan)
    table[poses.row, poses.person] = poses.keypoints
    return table.reshape(len(table), np.prod(table.shape[1:]))


def _to_poses(
    path: pathlib.Path,
    columns: Sequence[tuple[str, ...]],
    table: np.ndarray,
    numbers: list[int],
    keypoint_set: KeypointSet,
) -> Poses:
    individuals = list(dict.fromkeys(column[1] if len(column) == 4 else "" for column in columns))
    expected = [(*column[:-2][1:], name, coord) for column in columns[:: 3 * len(keypoint_set)]
                for name in keypoint_set.names for coord in COORDS]  # fmt: skip
    if [tuple(column[1:]) for column in columns] != expected:
        raise UserError(f"{path}: the body parts are not those of {keypoint_set.name}; give the keypoint set of the "
                        "file")  # fmt: skip
    keypoints = table.reshape(len(table), len(individuals), len(keypoint_set), 3)
    found = [persons[~np.isnan(persons).all((1, 2))] for persons in keypoints]
    poses = collect(keypoint_set, [np.nan] * len(keypoints), found, numbers)
    present = np.argwhere(~np.isnan(keypoints).all((2, 3)))
    return Poses(keypoint_set, poses.numbers, poses.times, present[:, 0], present[:, 1], poses.keypoints)
