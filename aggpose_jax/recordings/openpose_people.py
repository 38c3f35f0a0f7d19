"""Reads the persons in OpenPose's JSON files: the order of their keypoints, and the names of these in this package.

A file lists the persons of an image. Each keypoint of a person is x, y in pixels of the image (OpenPose's keypoint
scale 0) and its score c, or 0, 0, 0 where it was not found. The orders are those of OpenPose's output documentation.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet

SUFFIX = "_keypoints.json"  # The file of the image NAME.jpg is NAME_keypoints.json.
MAX_COORDINATE = 1e6  # largest magnitude, in pixels, that is accepted
BODY = "pose_keypoints_2d"
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_toe", "left_small_toe", "left_heel", "right_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
COCO_18 = tuple(name for name in BODY_25[:19] if name != "mid_hip")
BODIES = {len(names): names for names in (BODY_25, COCO_18)}
FURTHER = {  # field of a person: its number of points, and the name here and the index of the one that is used
    "hand_left_keypoints_2d": (21, "left_middle_finger", 12),
    "hand_right_keypoints_2d": (21, "right_middle_finger", 12),
    "face_keypoints_2d": (70, "chin", 8),
}


class Person(NamedTuple):
    """A person in an OpenPose file.

    Attributes:
      points: x, y in image pixels and the score [3] of each point by its name: those of the body, and the middle
        fingers and the chin where the file has the points of hands and face. All are 0 where a point was not found.
      score: sum of the scores of the body's points, divided by the number of points that the body has in OpenPose.
    """

    points: dict[str, np.ndarray]
    score: float


def read_people(file: pathlib.Path) -> list[Person]:
    """Reads the persons in an OpenPose file, whose bodies have the 25 points of BODY_25 or the 18 points of COCO_18.

    Raises:
      UserError: the file cannot be read, is not one of OpenPose, or has other points or numbers that are not finite.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is not valid JSON ({error}); let OpenPose write the file again") from error
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise UserError(f"{file}: has no list of people; give a file that OpenPose wrote with --write_json")
    try:
        return [_person(fields) for fields in people]
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def sources(keypoint_set: KeypointSet) -> tuple[str, ...]:
    """Returns the names of the points of OpenPose that are scored as the K keypoints of a set.

    They have the names of the keypoints, but the neck stands for the chest in a set without a neck.
    """
    names = keypoint_set.names
    return tuple("neck" if name == "chest" and "neck" not in names else name for name in names)


def select(person: Person, names: Sequence[str]) -> np.ndarray:
    """Returns the points [N, 3] of N names as x, y, score; 0, 0, 0 where the person has no such point."""
    return np.array([person.points.get(name, (0, 0, 0)) for name in names], np.float64).reshape(-1, 3)


def _person(fields: dict[str, object]) -> Person:
    body = _points(fields, BODY)
    if len(body) not in BODIES:
        raise UserError(f"{BODY} has {3 * len(body)} numbers, but BODY_25 has 75 and COCO has 54; run OpenPose with "
                        "--model_pose BODY_25 or COCO")  # fmt: skip
    points = dict(zip(BODIES[len(body)], body, strict=True))
    for field, (count, name, index) in FURTHER.items():
        further = _points(fields, field)
        if len(further) not in (0, count):
            raise UserError(f"{field} has {3 * len(further)} numbers, but OpenPose writes {3 * count}; let OpenPose "
                            "write the file again")  # fmt: skip
        if len(further):
            points[name] = further[index]
    return Person(points, float(body[:, 2].sum() / len(body)))


def _points(fields: dict[str, object], field: str) -> np.ndarray:
    """Returns the points [N, 3] in a field of a person; N is 0 if the person does not have the field."""
    values = fields.get(field) or []
    if not isinstance(values, list) or len(values) % 3 or not all(map(_is_number, values)):
        raise UserError(f"{field} is not a list of x, y, score of each point, all finite; let OpenPose write the file "
                        "again")  # fmt: skip
    return np.array(values, np.float64).reshape(-1, 3)


def _is_number(value: object) -> bool:
    return (type(value) is int or type(value) is float) and abs(value) <= MAX_COORDINATE
