"""The table of an evaluation with one row per labelled person, from which its metrics are computed, as persons.csv."""

import csv
import dataclasses
import io as text_io
import pathlib
from typing import Any

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.evidence.units import Units
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import Matches, similarity, torso_length

PERSONS = "persons.csv"  # name of the file of the table
COLUMNS = ("image_id", "file_name", "annotation_id", "unit", "torso", "area", "OKS", "score")
PARTS = ("visibility", "error", "x", "y", "OKS")  # columns of each keypoint, named KEYPOINT.PART


@dataclasses.dataclass(frozen=True)
class Persons:
    """The P labelled persons of a ground truth, each with the detection of highest OKS in its image.

    Attributes:
      keypoints: names of the K keypoints.
      image_id, annotation_id: [P].
      file_name: P names of the images.
      unit: [P] names of the infants or videos; "" where none was asked for.
      torso: [P] torso lengths in pixels; NaN where one of its four keypoints is unlabelled.
      area: [P] in square pixels.
      oks, score: [P] OKS, and instance score of the detection (NaN without detection).
      visibility: [P, K] 0 unlabelled, 1 labelled but hidden, 2 visible.
      offset: [P, K, 2] predicted − true x and y in torso lengths; NaN where there is no error.
      keypoint_oks: [P, K] similarity of each keypoint, 0 where it was not found and NaN where it is unlabelled.
    """

    keypoints: tuple[str, ...]
    image_id: np.ndarray
    annotation_id: np.ndarray
    file_name: list[str]
    unit: list[str]
    torso: np.ndarray
    area: np.ndarray
    oks: np.ndarray
    score: np.ndarray
    visibility: np.ndarray
    offset: np.ndarray
    keypoint_oks: np.ndarray

    def __len__(self) -> int:
        return len(self.image_id)

    @property
    def error(self) -> np.ndarray:
        """Returns the distances [P, K] of labelled keypoints in torso lengths: infinite where a keypoint was not found.

        NaN where the keypoint is unlabelled or the torso length unknown.
        """
        distance = np.linalg.norm(self.offset, axis=-1)
        scored = (self.visibility > 0) & ~np.isnan(self.torso)[:, None]
        return np.where(scored, np.where(np.isnan(distance), np.inf, distance), np.nan)


def tabulate(matches: Matches, ground_truth: dict[str, Any], keypoint_set: KeypointSet, units: Units | None) -> Persons:
    """Returns the table of matched persons; `units` None leaves the infants unnamed."""
    torso = torso_length(matches.truth, keypoint_set)
    # A torso of length 0 measures nothing.
    torso = np.where(torso > 0, torso, np.nan)
    labelled = matches.truth[..., 2] > 0
    with np.errstate(invalid="ignore"):
        offset = (matches.predicted[..., :2] - matches.truth[..., :2]) / torso[:, None, None]
    similar = np.nan_to_num(similarity(matches.predicted, matches.truth, matches.area, keypoint_set.sigmas))
    names = {image["id"]: str(image["file_name"]) for image in ground_truth["images"]}
    return Persons(
        keypoints=keypoint_set.names,
        image_id=matches.image_ids,
        annotation_id=matches.ids,
        file_name=[names[i] for i in matches.image_ids.tolist()],
        unit=[units.names[units.of_annotation[i]] if units else "" for i in matches.ids.tolist()],
        torso=torso,
        area=matches.area,
        oks=matches.oks,
        score=matches.score,
        visibility=matches.truth[..., 2].astype(np.int64),
        offset=np.where(labelled[..., None], offset, np.nan),
        keypoint_oks=np.where(labelled, similar, np.nan),
    )


def write(persons: Persons, path: pathlib.Path) -> None:
    """Writes persons.csv atomically. The errors are in torso lengths; a keypoint without one has empty cells."""
    text = text_io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{name}.{part}" for name in persons.keypoints for part in PARTS)])
    error = persons.error
    for p in range(len(persons)):
        row = [persons.image_id[p], persons.file_name[p], persons.annotation_id[p], persons.unit[p]]
        row += [_cell(values[p]) for values in (persons.torso, persons.area, persons.oks, persons.score)]
        for k in range(len(persons.keypoints)):
            numbers = (error[p, k], *persons.offset[p, k], persons.keypoint_oks[p, k])
            row += [persons.visibility[p, k], *map(_cell, numbers)]
        writer.writerow(row)
    io.write_text(path, text.getvalue())


def read(path: pathlib.Path) -> Persons:
    """Reads persons.csv.

    Raises:
      UserError: the file cannot be read or is not a table of persons.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        names = tuple(column.removesuffix(".error") for column in header if column.endswith(".error"))
        if header != [*COLUMNS, *(f"{name}.{part}" for name in names for part in PARTS)]:
            raise ValueError("its columns are others")
        fixed = [row[: len(COLUMNS)] for row in rows]
        points = np.array([[_number(cell) for cell in row[len(COLUMNS) :]] for row in rows], np.float64)
        points = points.reshape(len(rows), len(names), len(PARTS))
        numbers = np.array([[_number(cell) for cell in row[4:]] for row in fixed], np.float64).reshape(-1, 4)
        ids = np.array([[int(row[0]), int(row[2])] for row in fixed], np.int64).reshape(-1, 2)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(f"{path}: is not a table of persons ({error}); give one that evaluate wrote") from error
    torso, area, oks, score = numbers.T
    return Persons(
        keypoints=names,
        image_id=ids[:, 0],
        annotation_id=ids[:, 1],
        file_name=[row[1] for row in fixed],
        unit=[row[3] for row in fixed],
        torso=torso,
        area=area,
        oks=oks,
        score=score,
        visibility=np.nan_to_num(points[..., 0]).astype(np.int64),
        offset=points[..., 2:4],
        keypoint_oks=points[..., 4],
    )


def _cell(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))


def _number(cell: str) -> float:
    return float(cell) if cell else float("nan")
