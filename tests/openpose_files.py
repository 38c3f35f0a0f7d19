"""Functions that write files like those of OpenPose's --write_json."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np


def body(points: Mapping[int, tuple], count: int = 25) -> list[float]:
    """Returns the numbers of `count` points, of which those with the given indices are x, y, score and the rest 0."""
    values = np.zeros((count, 3))
    for index, point in points.items():
        values[index] = point
    return values.ravel().tolist()


def numbered(first: int, count: int) -> list[float]:
    """Returns the numbers of points x = first, first + 1, …; y = x + 1000; and the score .5."""
    x = first + np.arange(count)
    return np.column_stack([x, x + 1000, np.full(count, 0.5)]).ravel().tolist()


def person(pose: list[float], **fields: list[float]) -> dict:
    """Returns a person with a body and further fields; as in OpenPose, fields that are not given are empty."""
    empty = ("face", "hand_left", "hand_right")
    return {"person_id": [-1], "pose_keypoints_2d": pose, **{f"{part}_keypoints_2d": [] for part in empty}, **fields}


def write(folder: pathlib.Path, stem: str, *people: dict) -> pathlib.Path:
    """Writes the file of the image STEM.jpg and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}_keypoints.json"
    file.write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return file
