"""Reads COCO annotations and detections from JSON and rejects invalid entries, naming each, before any is used."""

import pathlib
import reprlib
from collections.abc import Callable, Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoint_files import plain

PERSON = 1  # category_id of a person in COCO results
MAX_COORDINATE = 1e6  # largest magnitude, in pixels, that is accepted; float32 resolves it to 1/16 of a pixel


def read_annotations(file: pathlib.Path, names: Sequence[str] | None = None, category: str = "") -> dict:
    """Reads a file of COCO keypoint annotations.

    Args:
      file: JSON with the lists images and annotations.
      names: names of the keypoints that each annotation must have; annotations of categories with other keypoints are
        left out. None accepts all annotations.
      category: name of the category whose annotations are used; empty for the one with these keypoints.

    Returns:
      The content of the file. With names, `left_out` is the number of annotations that were left out.

    Raises:
      UserError: the file cannot be read or is not valid JSON, or an entry lacks a field or has an invalid one: a number
        that is not finite, a negative width or height, a duplicate id, a file name outside the image folder. The
        message names the entry. Or no category, or more than one, has the named keypoints.
    """
    coco = io.read_json(file)
    if not isinstance(coco, dict) or not all(isinstance(coco.get(key), list) for key in ("images", "annotations")):
        raise UserError(
            f"{file}: the lists images and annotations are missing; give a file of COCO keypoint annotations"
        )
    _check_entries(file, "image", coco["images"], image_fault)
    image_ids = _check_unique(file, "image", coco["images"])
    keypoints = None
    if names is not None:
        keypoints, count = len(names), len(coco["annotations"])
        coco["annotations"] = _of_category(file, coco, names, category)
        coco["left_out"] = count - len(coco["annotations"])
    _check_entries(file, "annotation", coco["annotations"], lambda entry: annotation_fault(entry, image_ids, keypoints))
    _check_unique(file, "annotation", coco["annotations"])
    return coco


def read_detections(file: pathlib.Path) -> list[dict]:
    """Reads a file of COCO detection results: entries with image_id, category_id, bbox and score.

    Raises:
      UserError: see `read_annotations`.
    """
    detections = io.read_json(file)
    if not isinstance(detections, list):
        raise UserError(f"{file} is not a list of detections; give a file of COCO detection results")
    _check_entries(file, "detection", detections, _detection_fault)
    return detections


def read_results(file: pathlib.Path, ground_truth: dict, keypoints: int) -> list[dict]:
    """Reads a file of COCO keypoint results of the persons in the images of a ground truth.

    Args:
      file: JSON list of entries with image_id, category_id, keypoints (x, y, score, …) and score; may be empty.
      ground_truth: COCO dict with images and annotations.
      keypoints: the number K of keypoints of a person.

    Returns:
      The entries with these four fields only, since COCOeval would take an entry with a box for a detected box; the
      category is that of persons, PERSON.

    Raises:
      UserError: the file cannot be read, or an entry lacks a field, has an invalid one, another number of keypoints, an
        image that is not in the ground truth, or a category that is neither PERSON nor one of the ground truth.
    """
    results = io.read_json(file)
    if not isinstance(results, list):
        raise UserError(f"{file} is not a list; give a file of COCO keypoint results, or a folder of OpenPose files")
    image_ids = {image["id"] for image in ground_truth["images"]}
    of_truth = [annotation.get("category_id") for annotation in ground_truth["annotations"]]
    categories = {PERSON, *(category for category in of_truth if type(category) is int)}
    for index, result in enumerate(results):
        is_object = isinstance(result, dict)
        fault = _result_fault(result, image_ids, categories, keypoints) if is_object else "is not a JSON object"
        if fault:
            raise UserError(f"{file}: result number {index} {fault}")
    return [{key: r[key] for key in ("image_id", "keypoints", "score")} | {"category_id": PERSON} for r in results]


def _of_category(file: pathlib.Path, coco: dict, names: Sequence[str], category: str) -> list:
    """Returns the annotations of the category of a name, or of the one that has keypoints of these names in this order.

    A file without the names of any keypoints, in which no category is chosen, has a single category.
    """
    listed = coco.get("categories")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    used = {repr(entry.get("category_id")) for entry in coco["annotations"] if isinstance(entry, dict)}
    described = [entry for entry in entries if isinstance(entry.get("keypoints"), list) and entry["keypoints"]]
    if category:
        fitting = [entry for entry in entries if entry.get("name") == category]
        if not fitting:
            known = ", ".join(str(entry.get("name")) for entry in entries)
            raise UserError(f"{file}: no category is named {category}; give one of {known}")
    else:
        if not described:
            return list(coco["annotations"])
        wanted = [plain(name) for name in names]
        fitting = [entry for entry in described if list(map(plain, entry["keypoints"])) == wanted]
    if not fitting:
        given = "; ".join(f"{entry.get('name')} has {_listed(entry['keypoints'])}" for entry in described)
        raise UserError(f"{file}: no category has {_listed(names)}; give the keypoint set of the data ({given})")
    ids = {repr(entry.get("id")): str(entry.get("name")) for entry in fitting}
    if len(ids.keys() & used) > 1:
        same = " and ".join(ids[key] for key in sorted(ids.keys() & used))
        raise UserError(
            f"{file}: the categories {same} have the same keypoints; choose one with --config.category=NAME, or leave "
            "only one in the file"
        )
    # An annotation without a category is that of the only one.
    return [a for a in coco["annotations"] if not isinstance(a, dict) or repr(a.get("category_id")) in {*ids, "None"}]


def _listed(names: Sequence) -> str:
    more = ", …" if len(names) > 5 else ""
    return f"the {len(names)} keypoints {', '.join(map(str, names[:5]))}{more}"


def _check_entries(file: pathlib.Path, kind: str, entries: list, find_fault: Callable[[dict], str | None]) -> None:
    """Raises a UserError for the first entry in which `find_fault` finds a fault, with the id or index of the entry."""
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{file}: {kind} number {index} is not a JSON object; check the format")
        if fault := find_fault(entry):
            name = reprlib.repr(entry["id"]) if entry.get("id") is not None else f"number {index}"
            raise UserError(f"{file}: {kind} {name} {fault}")


def _check_unique(file: pathlib.Path, kind: str, entries: list[dict]) -> set[int]:
    """Returns the ids of the images or annotations of a file; raises a UserError if two of them have the same id."""
    ids = set()
    for entry in entries:
        if entry["id"] in ids:
            raise UserError(f"{file}: {kind} {entry['id']} occurs twice; make the ids unique")
        ids.add(entry["id"])
    return ids


def image_fault(image: dict) -> str | None:
    """Returns what is wrong with an entry of the COCO list `images`, as the end of a message; None if it is valid."""
    if fault := _missing(image, "id", "file_name", "height", "width") or _id_fault(image, "id"):
        return fault
    name = image["file_name"]
    path = pathlib.PurePath(name) if isinstance(name, str) and _is_text(name) else None
    if path is None or path.is_absolute() or ".." in path.parts or not path.parts:
        return f"has the file_name {reprlib.repr(name)}; give a relative path inside the image folder"
    for side in ("height", "width"):
        if not _is_number(image[side]) or image[side] <= 0:
            return f"has the {side} {reprlib.repr(image[side])}; give a positive number of pixels"
    return None


def annotation_fault(annotation: dict, image_ids: set[int], count: int | None) -> str | None:
    """Returns what is wrong with an entry of the COCO list `annotations`, as the end of a message; None if it is valid.

    `count` is the required number of keypoints; None accepts any.
    """
    if fault := _missing(annotation, "id", "image_id", "bbox", "keypoints"):
        return fault
    if fault := _id_fault(annotation, "id") or _id_fault(annotation, "image_id") or _box_fault(annotation):
        return fault
    if annotation["image_id"] not in image_ids:
        return f"has the image_id {annotation['image_id']}, which is not an id in images; add the image"
    keypoints = annotation["keypoints"]
    if not _are_numbers(keypoints) or len(keypoints) % 3:
        return f"has the keypoints {reprlib.repr(keypoints)}; give x, y, visibility of each keypoint, all finite"
    if count is not None and len(keypoints) != 3 * count:
        return (
            f"has {len(keypoints) // 3} keypoints but the keypoint set has {count}; choose the keypoint set of the data"
        )
    area = annotation.get("area", 0)
    if not _is_number(area, MAX_COORDINATE**2) or area < 0:
        return f"has the area {reprlib.repr(area)}; give it in square pixels, or remove the field"
    if annotation.get("iscrowd", 0) not in (0, 1):
        return f"has iscrowd {reprlib.repr(annotation['iscrowd'])}; give 0 or 1"
    return None


def _detection_fault(detection: dict) -> str | None:
    """Returns what is wrong with an entry of COCO detection results, as the end of a message; None if it is valid."""
    fault = _missing(detection, "image_id", "category_id", "bbox", "score")
    return fault or _id_fault(detection, "image_id") or _box_fault(detection) or _score_fault(detection)


def _score_fault(entry: dict) -> str | None:
    is_valid = _is_number(entry["score"])
    return None if is_valid else f"has the score {reprlib.repr(entry['score'])}; give a finite number"


def _result_fault(result: dict, image_ids: set[int], categories: set[int], count: int) -> str | None:
    """Returns what is wrong with an entry of COCO keypoint results, as the end of a message; None if it is valid."""
    fault = _missing(result, "image_id", "category_id", "keypoints", "score")
    if fault := fault or _id_fault(result, "image_id") or _id_fault(result, "category_id"):
        return fault
    if result["image_id"] not in image_ids:
        return f"has the image_id {result['image_id']}, which is not in the data set; choose the split of the results"
    if result["category_id"] not in categories:
        return f"has the category_id {result['category_id']}; give {PERSON} for a person"
    keypoints = result["keypoints"]
    if not _are_numbers(keypoints) or len(keypoints) % 3:
        return f"has the keypoints {reprlib.repr(keypoints)}; give x, y, score of each keypoint, all finite"
    if len(keypoints) != 3 * count:
        return f"has {len(keypoints) // 3} keypoints but the keypoint set has {count}; choose that of the results"
    return _score_fault(result)


def _missing(entry: dict, *keys: str) -> str | None:
    """Returns the end of a message that lists the keys that an entry lacks or that are null; None if it has all."""
    missing = [key for key in keys if entry.get(key) is None]
    return f"lacks {', '.join(missing)}; add the missing fields, or remove the entry" if missing else None


def _id_fault(entry: dict, key: str) -> str | None:
    number = entry[key]
    is_int64 = type(number) is int and -(2**63) <= number < 2**63
    return None if is_int64 else f"has the {key} {reprlib.repr(number)}; give a 64-bit integer"


def _box_fault(entry: dict) -> str | None:
    box = entry["bbox"]
    if _are_numbers(box) and len(box) == 4 and min(box[2:]) >= 0:
        return None
    return f"has the bbox {reprlib.repr(box)}; give x, y, width, height, all finite, with width and height at least 0"


def _is_text(value: str) -> bool:
    """Returns whether a string from JSON can be the name of a file and be printed: no NUL, and no lone surrogate."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_number(value: object, limit: float = MAX_COORDINATE) -> bool:
    return (type(value) is int or type(value) is float) and -limit <= value <= limit


def _are_numbers(values: object) -> bool:
    """Returns whether a value read from JSON is a list of numbers, none of them NaN or beyond ±MAX_COORDINATE."""
    if not isinstance(values, list):
        return False
    try:
        array = np.array(values)  # Vectorised, because a file contains millions of numbers.
    except ValueError:  # The list holds lists of different lengths instead of numbers.
        return False
    return (
        array.ndim == 1
        and array.dtype.kind in "iuf"
        and bool(((array >= -MAX_COORDINATE) & (array <= MAX_COORDINATE)).all())
    )
