"""Checks boxes, keypoints and their numbers of the persons of a split."""

import reprlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from aggpose_jax.data.audit.dataset import Persons
from aggpose_jax.data.audit.findings import Finding, of_person

BOX_TOLERANCE = 0.1  # fraction of a box that may lie outside of the image, or by which a keypoint may be outside of it
OCCLUDED_TOLERANCE = 1.0  # the same for an occluded keypoint, because COCO's boxes enclose the visible part only
PIXEL = 1.0  # distance in pixels beyond the border of an image that rounding explains
MIN_PERSONS = 20  # fewest labelled persons of a split in which a keypoint that is never labelled is no chance
MAX_UNLABELLED = 0.2  # fraction of all persons above which it is intended that persons are unlabelled


def check_persons(persons: Persons) -> list[Finding]:
    """Returns the findings about the boxes and keypoints of the persons of a split."""
    checks = (
        check_boxes,
        check_keypoints_in_image,
        check_keypoints_in_box,
        check_num_keypoints,
        check_never_labelled,
    )
    return [finding for check in checks for finding in check(persons)]


def check_boxes(persons: Persons) -> Iterable[Finding]:
    """Finds boxes of width or height 0, and boxes of which more than a tenth is beyond a border of the image."""
    width, height = persons.box[:, 2:].T
    for row in _rows((width == 0) | (height == 0)):
        text = f"The box is {width[row]:g} × {height[row]:g} pixels; draw it around the person."
        yield _finding(persons, row, "box_without_area", text)
    overhang = np.maximum(-persons.box[:, :2], persons.box[:, :2] + persons.box[:, 2:] - persons.size)
    is_outside = (overhang > np.maximum(BOX_TOLERANCE * persons.box[:, 2:], PIXEL)).any(axis=1)
    for row in _rows(is_outside & (width > 0) & (height > 0)):
        text = (
            f"The box {_numbers(persons.box[row])} reaches {overhang[row].max():.0f} pixels out of the image of "
            f"{_numbers(persons.size[row], ' × ')} pixels; correct it: x, y of the upper left corner, width, height."
        )
        yield _finding(persons, row, "box_outside_image", text)


def check_keypoints_in_image(persons: Persons) -> Iterable[Finding]:
    """Finds labelled keypoints that are more than a pixel outside of the image."""
    points, size = persons.keypoints[..., :2], persons.size[:, None]
    is_outside = persons.is_labelled & ((points < -PIXEL) | (points > size)).any(axis=-1)
    for row in _rows(is_outside.any(axis=1)):
        size_text = _numbers(persons.size[row], " × ")
        where = f"outside of the image of {size_text} pixels; correct {_them(is_outside[row])}, or give visibility 0."
        yield _finding(persons, row, "keypoint_outside_image", f"{_names(persons, row, is_outside[row])} {where}")


def check_keypoints_in_box(persons: Persons) -> Iterable[Finding]:
    """Finds visible keypoints outside of their person's box by more than a tenth of its width or height.

    Occluded ones (visibility 1) may be outside by the whole width or height.
    """
    points, box = persons.keypoints[..., :2], persons.box[:, None]
    beyond = np.maximum(box[..., :2] - points, points - box[..., :2] - box[..., 2:])
    tolerance = np.where(persons.keypoints[..., 2:] >= 2, BOX_TOLERANCE, OCCLUDED_TOLERANCE) * box[..., 2:]
    has_area = np.asarray((persons.box[:, 2:] > 0).all(axis=1))
    is_outside = persons.is_labelled & (beyond > np.maximum(tolerance, PIXEL)).any(axis=-1) & has_area[:, None]
    for row in _rows(is_outside.any(axis=1)):
        where = f"far outside of the box {_numbers(persons.box[row])}; correct {_them(is_outside[row])} or the box."
        yield _finding(persons, row, "keypoint_outside_box", f"{_names(persons, row, is_outside[row])} {where}")


def check_num_keypoints(persons: Persons) -> Iterable[Finding]:
    """Finds persons whose `num_keypoints` is not their number of keypoints with a visibility above 0."""
    for row, count in enumerate(persons.is_labelled.sum(axis=1).tolist()):
        given = persons.annotation[row].get("num_keypoints", count)
        if given != count:
            is_given = f"num_keypoints is {reprlib.repr(given)}"
            text = f"{is_given}, but {count} keypoints have a visibility above 0; correct one of them."
            yield _finding(persons, row, "wrong_num_keypoints", text)


def check_unlabelled(groups: Sequence[Persons]) -> Iterable[Finding]:
    """Finds persons without a labelled keypoint, unless more than a fifth of the persons of all groups are so.

    They are then only counted, because that is a convention of the data set: in COCO a third of the persons, the small
    ones, have only boxes.
    """
    unlabelled = [~np.any(persons.is_labelled, axis=1) for persons in groups]
    if sum(one.sum() for one in unlabelled) <= MAX_UNLABELLED * sum(one.size for one in unlabelled):
        for persons, is_unlabelled in zip(groups, unlabelled, strict=True):
            for row in _rows(is_unlabelled):
                text = "The person has a box, but no keypoint is labelled; label them, or remove the person."
                yield _finding(persons, row, "unlabelled_person", text)


def check_never_labelled(persons: Persons) -> Iterable[Finding]:
    """Finds keypoints that none of the persons of a split has, if there are enough to tell."""
    labelled = persons.is_labelled
    count = int(labelled.any(axis=1).sum())
    for k in np.flatnonzero(~labelled.any(axis=0)) if count >= MIN_PERSONS else ():
        text = (
            f"{persons.keypoint_set.names[k]} is labelled in none of {count} persons; label it, or use a keypoint set "
            "without it."
        )
        yield Finding("keypoint_never_labelled", persons.split, text)


def _rows(is_meant: ArrayLike) -> list[int]:
    """Returns the indices of the persons for which an array [N] is true."""
    return np.flatnonzero(is_meant).tolist()


def _finding(persons: Persons, row: int, kind: str, text: str) -> Finding:
    return of_person(kind, persons.split, persons.image[row], persons.annotation[row], text)


def _numbers(numbers: Sequence[float] | np.ndarray, separator: str = ", ") -> str:
    return separator.join(f"{number:g}" for number in numbers)


def _names(persons: Persons, row: int, is_meant: np.ndarray) -> str:
    """Returns the names and positions of keypoints of a person and the verb, such as "nose (1, 2) is"."""
    points = persons.keypoints[row, :, :2]
    names = [f"{persons.keypoint_set.names[k]} ({_numbers(points[k])})" for k in np.flatnonzero(is_meant)]
    return ", ".join(names) + (" are" if len(names) > 1 else " is")


def _them(is_meant: np.ndarray) -> str:
    return "them" if is_meant.sum() > 1 else "it"
