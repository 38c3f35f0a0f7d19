"""COCO annotations and detections from JSON: what cannot be used is refused by name before anything is done with it."""

import json
import pathlib
import reprlib
from collections.abc import Callable

import numpy as np

from aggpose_jax.errors import UserError

LARGEST = 1e6  # coordinate in pixels; float32 holds it to a sixteenth of one


def read_annotations(file: pathlib.Path, keypoints: int | None = None) -> dict:
    """Reads a file of COCO keypoint annotations.

    Args:
      file: JSON with the lists images and annotations.
      keypoints: that each annotation must have; None takes any number.

    Raises:
      UserError: the file is missing or no JSON, or an entry, which is named, lacks a field or has one that cannot be:
        a number that is not finite, a side that is negative, the id of another, a file that is not below the images.
    """
    coco = read_json(file)
    if not isinstance(coco, dict) or not all(isinstance(coco.get(key), list) for key in ("images", "annotations")):
        raise UserError(f"{file}: lacks the lists images and annotations; give COCO keypoint annotations")
    _check(file, "image", coco["images"], _image_fault)
    known = _check_unique(file, "image", coco["images"])
    _check(file, "annotation", coco["annotations"], lambda entry: _annotation_fault(entry, known, keypoints))
    _check_unique(file, "annotation", coco["annotations"])
    return coco


def read_detections(file: pathlib.Path) -> list[dict]:
    """Reads a file of COCO detection results: entries with image_id, category_id, bbox and score.

    Raises:
      UserError: as of `read_annotations`.
    """
    detections = read_json(file)
    if not isinstance(detections, list):
        raise UserError(f"{file} is not a list of detections; give COCO detection results")
    _check(file, "detection", detections, _detection_fault)
    return detections


def read_json(file: pathlib.Path) -> object:
    """Reads JSON.

    Raises:
      UserError: the file is missing or no JSON.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}); get the file again") from error
    except RecursionError:
        raise UserError(f"{file} is nested too deeply to be annotations; get the file again") from None


def _check(file: pathlib.Path, kind: str, entries: list, find_fault: Callable[[dict], str | None]) -> None:
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{file}: {kind} number {number} is no object with fields; check the format")
        if fault := find_fault(entry):
            name = reprlib.repr(entry["id"]) if entry.get("id") is not None else f"number {number}"
            raise UserError(f"{file}: {kind} {name} {fault}")


def _check_unique(file: pathlib.Path, kind: str, entries: list[dict]) -> set[int]:
    """The ids of entries, of which no two may have the same."""
    seen = set()
    for entry in entries:
        if entry["id"] in seen:
            raise UserError(f"{file}: {kind} {entry['id']} is there twice; give each an id of its own")
        seen.add(entry["id"])
    return seen


def _image_fault(image: dict) -> str | None:
    if fault := _missing(image, "id", "file_name", "height", "width") or _id_fault(image, "id"):
        return fault
    name = image["file_name"]
    path = pathlib.PurePath(name) if isinstance(name, str) and "\0" not in name else None
    if path is None or path.is_absolute() or ".." in path.parts or not path.parts:
        return f"has the file_name {reprlib.repr(name)}; name a file below the folder of the images"
    for side in ("height", "width"):
        if not _is_number(image[side]) or image[side] <= 0:
            return f"has the {side} {reprlib.repr(image[side])}; give pixels"
    return None


def _annotation_fault(annotation: dict, images: set[int], count: int | None) -> str | None:
    if fault := _missing(annotation, "id", "image_id", "bbox", "keypoints"):
        return fault
    if fault := _id_fault(annotation, "id") or _id_fault(annotation, "image_id") or _box_fault(annotation):
        return fault
    if annotation["image_id"] not in images:
        return f"is of image {annotation['image_id']}, which the file does not list; add the image"
    keypoints = annotation["keypoints"]
    if not _are_numbers(keypoints) or len(keypoints) % 3:
        return f"has the keypoints {reprlib.repr(keypoints)}; give x, y, visibility of each, all finite"
    if count is not None and len(keypoints) != 3 * count:
        return f"has {len(keypoints) // 3} keypoints, the keypoint set has {count}; choose the set of the data"
    area = annotation.get("area", 0)
    if not _is_number(area, LARGEST**2) or area < 0:
        return f"has the area {reprlib.repr(area)}; give square pixels, or leave it out"
    if annotation.get("iscrowd", 0) not in (0, 1):
        return f"has iscrowd {reprlib.repr(annotation['iscrowd'])}; give 0 or 1"
    return None


def _detection_fault(detection: dict) -> str | None:
    fault = _missing(detection, "image_id", "category_id", "bbox", "score")
    if fault := fault or _id_fault(detection, "image_id") or _box_fault(detection):
        return fault
    return (
        None if _is_number(detection["score"]) else f"has the score {reprlib.repr(detection['score'])}; give a number"
    )


def _missing(entry: dict, *keys: str) -> str | None:
    missing = [key for key in keys if entry.get(key) is None]
    return f"lacks {', '.join(missing)}; add what is missing or remove it" if missing else None


def _id_fault(entry: dict, key: str) -> str | None:
    number = entry[key]
    whole = type(number) is int and -(2**63) <= number < 2**63
    return None if whole else f"has the {key} {reprlib.repr(number)}; it must be a whole number of 64 bits"


def _box_fault(entry: dict) -> str | None:
    box = entry["bbox"]
    if _are_numbers(box) and len(box) == 4 and min(box[2:]) >= 0:
        return None
    return f"has the bbox {reprlib.repr(box)}; it must be x, y, width, height, all finite and no side negative"


def _is_number(value: object, largest: float = LARGEST) -> bool:
    return type(value) in (int, float) and -largest <= value <= largest


def _are_numbers(values: object) -> bool:
    """It is a list of numbers, none NaN or beyond LARGEST."""
    if not isinstance(values, list):
        return False
    try:
        array = np.array(values)  # for all at once: a file has millions
    except ValueError:  # lists of several lengths
        return False
    return array.ndim == 1 and array.dtype.kind in "iuf" and bool(((array >= -LARGEST) & (array <= LARGEST)).all())
