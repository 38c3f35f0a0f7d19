"""Reads and writes the labels of DeepLabCut projects of one animal.

A project is a folder with config.yaml, and for each video labeled-data/VIDEO/ with its labelled frames imgNNN.png and
CollectedData_SCORER.csv. A row of the table is an image, named by one column (labeled-data/VIDEO/imgNNN.png) in older
versions and by three in newer ones; both are read, and three are written. An empty cell or NaN is not labelled. The
format has no hidden keypoints: they are written like visible ones. CollectedData_SCORER.h5, which DeepLabCut trains on,
is written as well if the extra hdf5 is installed; otherwise deeplabcut.convertcsv2h5 makes it.

DeepLabCut's programs for labelling put pixel centres at integers, as this package does, so x and y are not changed.
"""

import csv
import datetime
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import yaml

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, checked_images, empty, is_position
from aggpose_jax.pose.keypoint_files import set_of_names
from aggpose_jax.pose.keypoints import KeypointSet

CONFIG, FOLDER, SCORER = "config.yaml", "labeled-data", "aggpose"
LEVELS = ("scorer", "bodyparts", "coords")
KEY = "df_with_missing"  # key of the table in an HDF5 file, as DeepLabCut names it

_Tuples = Sequence[tuple[str, ...]]


def write(labels: LabelSet, out: pathlib.Path) -> None:
    """Writes the project OUT. Files of the images are VIDEO/imgNNN.png, in OUT/labeled-data; images need a size.

    Raises:
      UserError: an image has more than one person.
    """
    check_one_animal(labels)
    by_video: dict[str, list[LabelledImage]] = {}
    for image in labels.images:
        by_video.setdefault(image.file.partition("/")[0], []).append(image)
    names = labels.keypoint_set.names
    columns = [(SCORER, name, coord) for name in names for coord in ("x", "y")]
    for video, images in by_video.items():
        rows = [(FOLDER, video, image.file.partition("/")[2]) for image in images]
        table = np.array([_row(image, len(names)) for image in images])
        path = out / FOLDER / video / f"CollectedData_{SCORER}.csv"
        _write_csv(path, columns, rows, table)
        _write_h5(path.with_suffix(".h5"), columns, rows, table)
    io.write_text(out / CONFIG, yaml.safe_dump(_config(labels, by_video, out), sort_keys=False, allow_unicode=True))


def check_one_animal(labels: LabelSet) -> None:
    """Raises a UserError that names an image with more than one person, if there is one."""
    for image in labels.images:
        if len(image.persons) > 1:
            raise UserError(
                f"{image.file} has {len(image.persons)} persons, but a project of DeepLabCut has one animal; choose "
                "another format, or leave one person in each image"
            )


def _row(image: LabelledImage, count: int) -> np.ndarray:
    """Returns x, y, x, y, … of the person of an image, NaN where it is not labelled."""
    if not len(image.persons):
        return np.full(2 * count, np.nan)
    person = image.persons[0]
    values: np.ndarray = np.where(person[:, 2:] > 0, person[:, :2], np.nan).ravel()
    return values


def _write_csv(path: pathlib.Path, columns: _Tuples, rows: _Tuples, table: np.ndarray) -> None:
    with io.atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        for level, values in zip(LEVELS, zip(*columns, strict=True), strict=True):
            lines.writerow((level, "", "", *values))
        for row, values in zip(rows, table.tolist(), strict=True):
            lines.writerow((*row, *("" if value != value else f"{value:.4f}" for value in values)))


def _write_h5(path: pathlib.Path, columns: _Tuples, rows: _Tuples, table: np.ndarray) -> None:
    """Writes the table as HDF5 if pandas and PyTables are installed."""
    try:
        import pandas
        import tables  # noqa: F401
    except ImportError:
        return
    index = pandas.MultiIndex.from_tuples(rows)
    frame = pandas.DataFrame(table, index=index, columns=pandas.MultiIndex.from_tuples(columns, names=LEVELS))
    with io.atomic_path(path) as temporary:
        # DeepLabCut needs pandas 2, which cannot read format "table" as pandas 3 writes it.
        frame.to_hdf(temporary, key=KEY, format="fixed", mode="w")


def _config(labels: LabelSet, by_video: dict[str, list[LabelledImage]], out: pathlib.Path) -> dict:
    """Returns the content of config.yaml; keys that it lacks have defaults in DeepLabCut."""
    names = labels.keypoint_set.names
    sizes = {video: images[0].size or (0, 0) for video, images in by_video.items()}
    return {
        "Task": labels.keypoint_set.name,
        "scorer": SCORER,
        "date": datetime.date.today().strftime("%b%d"),
        "multianimalproject": False,
        "identity": None,
        "project_path": str(out.resolve()),
        "engine": "pytorch",
        "video_sets": {
            str(out.resolve() / "videos" / f"{video}.mp4"): {"crop": f"0, {width}, 0, {height}"}
            for video, (height, width) in sizes.items()
        },
        "bodyparts": list(names),
        "start": 0, "stop": 1, "numframes2pick": 20,
        "skeleton": [[names[a], names[b]] for a, b in labels.keypoint_set.skeleton],
        "skeleton_color": "black", "pcutoff": 0.6, "dotsize": 6, "alphavalue": 0.7, "colormap": "rainbow",
        "TrainingFraction": [0.95], "iteration": 0, "default_net_type": "resnet_50", "default_augmenter": "default",
        "snapshotindex": -1, "batch_size": 8,
        "cropping": False, "x1": 0, "x2": 640, "y1": 277, "y2": 624,
        "corner2move2": [50, 50], "move2corner": True,
    }  # fmt: skip


class _Table(NamedTuple):
    """A table of labels: its bodyparts, the paths of its images, and x, y [N, K, 2], NaN where not labelled."""

    bodyparts: list[str]
    files: list[str]
    points: np.ndarray


def read(path: pathlib.Path) -> LabelSet:
    """Reads the labels of a project of one animal.

    The keypoints are the bodyparts of config.yaml in their order, then those that only tables have. The skeleton is
    that of config.yaml.

    Args:
      path: the folder of the project or its config.yaml.

    Raises:
      UserError: the project or a table is missing or damaged, has several animals or scorers or contains predictions,
        or no frame is labelled.
    """
    config_file = path / CONFIG if path.is_dir() else path
    config, project = _read_config(config_file), config_file.parent
    if config.get("multianimalproject"):
        raise UserError(
            f"{config_file}: is a project of several animals, which cannot be imported; give one of one animal"
        )
    tables = [_read_table(file) for file in _table_files(project)]
    listed = config.get("bodyparts")
    names = tuple(dict.fromkeys([*(map(str, listed) if isinstance(listed, list) else ()),
                                 *(name for table in tables for name in table.bodyparts)]))  # fmt: skip
    pairs = config.get("skeleton")
    skeleton = [list(map(str, pair)) for pair in pairs if isinstance(pair, list) and len(pair) == 2] if isinstance(
        pairs, list) else []  # fmt: skip
    keypoint_set = set_of_names(names, str(config.get("Task") or project.resolve().name), skeleton)
    images = [image for table in tables for image in _images(table, keypoint_set)]
    if not any(len(image.persons) for image in images):
        raise UserError(f"{project}: no frame is labelled; label frames in DeepLabCut first")
    return LabelSet(keypoint_set, checked_images(project, images), project / FOLDER)


def _read_config(file: pathlib.Path) -> dict:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); give the folder of a DeepLabCut project") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file} is not valid YAML ({reason}); correct it") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is not the configuration of a DeepLabCut project; give the folder of one")
    return config


def _table_files(project: pathlib.Path) -> list[pathlib.Path]:
    """Returns the table of each video: CSV, or HDF5 where there is no CSV."""
    if not (project / FOLDER).is_dir():
        raise UserError(f"{project / FOLDER} is missing; give the folder of a DeepLabCut project with labelled frames")
    found = []
    for folder in sorted(filter(pathlib.Path.is_dir, (project / FOLDER).iterdir()), key=io.natural_order):
        files = sorted(folder.glob("CollectedData_*.csv")) or sorted(folder.glob("CollectedData_*.h5"))
        if len(files) > 1:
            raise UserError(
                f"{folder} has labels of several scorers ({', '.join(file.name for file in files)}); keep one"
            )
        found += files
    if not found:
        raise UserError(
            f"{project / FOLDER}: no video has a CollectedData_SCORER.csv; label frames in DeepLabCut first"
        )
    return found


def _read_table(file: pathlib.Path) -> _Table:
    header, rows, table = _read_h5(file) if file.suffix == ".h5" else _read_csv(file)
    if "individuals" in header:
        raise UserError(f"{file}: has several individuals, which cannot be imported; give a project of one animal")
    if list(header) != list(LEVELS):
        raise UserError(f"{file}: its header is not {', '.join(LEVELS)}; give labels as DeepLabCut stores them")
    if len(set(header["scorer"])) != 1:
        raise UserError(
            f"{file}: has several scorers ({', '.join(sorted(set(header['scorer'])))}); keep the columns of one"
        )
    if "likelihood" in header["coords"]:
        raise UserError(
            f"{file}: has a likelihood, so it is of predictions; give CollectedData_SCORER.csv of labelled frames"
        )
    bodyparts = header["bodyparts"][::2]
    expected = [(name, coord) for name in bodyparts for coord in ("x", "y")]
    if list(zip(header["bodyparts"], header["coords"], strict=True)) != expected or len(set(bodyparts)) < len(
        bodyparts
    ):
        raise UserError(f"{file}: its columns are not x and y of each bodypart once; correct its header")
    if np.isinf(table).any():
        raise UserError(f"{file}: has a coordinate that is not finite; correct it, or leave it empty")
    files = [_file(file, row) for row in rows]
    return _Table(bodyparts, files, table.reshape(len(rows), len(bodyparts), 2))


def _read_csv(file: pathlib.Path) -> tuple[dict[str, list[str]], list[list[str]], np.ndarray]:
    """Returns the levels of the header, the index of each row, and the values [N, 2K]."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as opened:
            lines = [line for line in csv.reader(opened) if line]
        length = next(n for n, line in enumerate(lines) if line[0] == "coords") + 1
        # The columns of the index have a header of nothing but the name of the level.
        start = next(n for n, cell in enumerate(lines[0]) if n and cell)
        header = {line[0]: line[start:] for line in lines[:length]}
        rows = [line[:start] for line in lines[length:]]
        table = np.array([[float(cell or "nan") for cell in line[start:]] for line in lines[length:]], np.float64)
        table = table.reshape(len(rows), len(header["coords"]))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except (StopIteration, ValueError, IndexError, csv.Error) as error:
        raise UserError(f"{file} is not a table of DeepLabCut ({error or 'no header'}); replace the file") from error
    return header, rows, table


def _read_h5(file: pathlib.Path) -> tuple[dict[str, list[str]], list[list[str]], np.ndarray]:
    """Returns the same as `_read_csv` from a table in HDF5."""
    try:
        import pandas
        import tables  # noqa: F401
    except ImportError as error:
        raise UserError(f"{file} needs {error.name}: pip install 'aggpose_jax[hdf5]'") from None
    try:
        frame = pandas.read_hdf(file)
        levels = dict(zip(frame.columns.names, map(list, zip(*frame.columns, strict=True)), strict=True))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{file} is not a table of DeepLabCut ({error}); replace the file") from error
    rows = [[row] if isinstance(row, str) else list(map(str, row)) for row in frame.index]
    return levels, rows, frame.to_numpy(np.float64)


def _file(table: pathlib.Path, row: list[str]) -> str:
    """Returns the path of an image relative to labeled-data. It lies beside its table whatever the row says."""
    name = pathlib.PurePosixPath("/".join(row).replace("\\", "/")).name
    return f"{table.parent.name}/{name}"


def _images(table: _Table, keypoint_set: KeypointSet) -> list[LabelledImage]:
    to = [keypoint_set.names.index(name) for name in table.bodyparts]
    images = []
    for file, points in zip(table.files, table.points, strict=True):
        labelled = ~np.isnan(points).any(-1)
        persons = empty(int(labelled.any()), keypoint_set)
        for person in persons:
            person[to] = np.where(labelled[:, None], np.column_stack([points, np.full(len(points), 2.0)]), 0)
        if not all(is_position(x, y) for x, y in points[labelled]):
            raise UserError(f"{file} has a coordinate that is too large; correct its table")
        images.append(LabelledImage(file, None, persons))
    return images
