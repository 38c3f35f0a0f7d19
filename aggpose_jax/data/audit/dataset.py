"""Reads a split of a COCO directory as far as it is valid, and reports what is not, instead of raising."""

import collections
import dataclasses
import math
import pathlib
import reprlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.annotations import annotation_fault, image_fault
from aggpose_jax.data.audit.findings import Finding
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.pose.keypoints import KEYPOINT_SETS, KeypointSet, opposite

PREFIX = "person_keypoints_"


@dataclasses.dataclass
class Split:
    """The valid entries of DIR/annotations/person_keypoints_SPLIT.json.

    Attributes:
      name: SPLIT.
      folder: DIR/SPLIT.
      listed: the file names of all entries in `images`, also of invalid ones.
      images: the valid entries of `images`, each id once.
      annotations: the valid entries of `annotations` of categories with keypoints, each id once.
      keypoint_sets: the keypoint set of each category; the key None is that of annotations without a category.
    """

    name: str
    folder: pathlib.Path
    listed: set[str]
    images: list[dict]
    annotations: list[dict]
    keypoint_sets: dict[int | str | None, KeypointSet]


class Persons(NamedTuple):
    """The N persons of a split with one keypoint set, without crowds: `image` and `annotation` are entries of the file.

    `size` [N, 2] is (width, height) of the images, `box` [N, 4] x, y, width, height and `keypoints` [N, K, 3] x, y,
    visibility, all in pixels.
    """

    split: str
    keypoint_set: KeypointSet
    image: list[dict]
    annotation: list[dict]
    size: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray

    @property
    def is_labelled(self) -> np.ndarray:
        """Returns [N, K] bool: whether each keypoint is labelled."""
        return self.keypoints[..., 2] > 0


def split_names(directory: pathlib.Path) -> list[str]:
    """Returns the names of the splits with annotations in a directory; in the order of training, validation and others.

    Raises:
      UserError: the directory is missing or has no annotations.
    """
    files = (directory / "annotations").glob(f"{PREFIX}*.json")
    names = [file.stem.removeprefix(PREFIX) for file in files]
    if not names:
        reason = "has no" if directory.is_dir() else "is not a folder with"
        raise UserError(f"{directory} {reason} annotations/{PREFIX}SPLIT.json; give a data set in the layout of COCO")
    return sorted(names, key=lambda name: (not name.startswith("train"), not name.startswith("val"), name))


def read_split(directory: pathlib.Path, name: str) -> tuple[Split, list[Finding]]:
    """Reads a split, and returns its valid entries and findings about the others.

    Raises:
      UserError: the file cannot be read or lacks the lists images and annotations.
    """
    file = directory / "annotations" / f"{PREFIX}{name}.json"
    coco = io.read_json(file)
    if not isinstance(coco, dict) or not all(isinstance(coco.get(key), list) for key in ("images", "annotations")):
        raise UserError(f"{file}: the lists images and annotations are missing; give COCO keypoint annotations")
    findings: list[Finding] = []
    images = list(_valid_images(coco["images"], name, findings))
    file_names = {_id(image): str(image.get("file_name")) for image in coco["images"] if isinstance(image, dict)}
    keypoint_sets, others = _keypoint_sets(coco)
    of_keypoints = [a for a in coco["annotations"] if not isinstance(a, dict) or _category(a) not in others]
    annotations = list(_valid_annotations(of_keypoints, name, file_names, keypoint_sets, findings))
    listed = {str(pathlib.PurePath(file_name)) for file_name in file_names.values()}
    return Split(name, directory / name, listed, images, annotations, keypoint_sets), findings


def persons(split: Split) -> list[Persons]:
    """Returns the persons in valid images, without crowds, grouped by keypoint set."""
    images = {image["id"]: image for image in split.images}
    groups = collections.defaultdict(list)
    for annotation in split.annotations:
        if annotation["image_id"] in images and not annotation.get("iscrowd"):
            groups[keypoint_set_of(split, annotation)].append(annotation)
    return [
        Persons(
            split.name,
            keypoint_set,
            image=(of_group := [images[a["image_id"]] for a in group]),
            annotation=group,
            size=np.array([(image["width"], image["height"]) for image in of_group], np.float64),
            box=np.array([a["bbox"] for a in group], np.float64),
            keypoints=np.array([a["keypoints"] for a in group], np.float64).reshape(len(group), -1, 3),
        )
        for keypoint_set, group in groups.items()
    ]


def keypoint_set_of(split: Split, annotation: dict) -> KeypointSet:
    """Returns the keypoint set of an annotation of a split."""
    return split.keypoint_sets[_category(annotation)]


def _valid_images(entries: list, split: str, findings: list[Finding]) -> Iterator[dict]:
    """Yields the valid entries of `images` and appends findings about the others."""
    known = set()
    for index, entry in enumerate(entries):
        fault = image_fault(entry) if isinstance(entry, dict) else "is not a JSON object; correct or remove it"
        kind = "not_finite" if fault and _has_non_finite(entry) else "invalid_entry"
        if not fault and entry["id"] in known:
            kind, fault = "duplicate_id", "has the id of another image; give each image an id of its own"
        if fault:
            name = entry["file_name"] if isinstance(entry, dict) and isinstance(entry.get("file_name"), str) else ""
            findings.append(Finding(kind, split, f"Image {_label(entry, index)} {fault}.", name, _id(entry)))
        else:
            known.add(entry["id"])
            yield entry


def _valid_annotations(
    entries: list,
    split: str,
    file_names: dict[int | None, str],
    keypoint_sets: dict[int | str | None, KeypointSet],
    findings: list[Finding],
) -> Iterator[dict]:
    """Yields the valid entries of `annotations` and appends findings about the others."""
    known = set()
    ids = {id for id in file_names if id is not None}
    for index, entry in enumerate(entries):
        kind, fault = _fault_of_annotation(entry, ids, keypoint_sets)
        if not fault and entry["id"] in known:
            kind, fault = "duplicate_id", "has the id of another annotation; give each annotation an id of its own"
        if fault:
            image = entry.get("image_id") if isinstance(entry, dict) else None
            image = image if type(image) is int and image in ids else None
            text = f"Annotation {_label(entry, index)} {fault}."
            findings.append(
                Finding(kind, split, text, file_names[image] if image is not None else "", image, _id(entry))
            )
        else:
            known.add(entry["id"])
            yield entry


def _fault_of_annotation(
    entry: object, image_ids: set[int], keypoint_sets: dict[int | str | None, KeypointSet]
) -> tuple[str, str | None]:
    """Returns the kind of finding and the end of its sentence; the latter is None if the entry is valid."""
    if not isinstance(entry, dict):
        return "invalid_entry", "is not a JSON object; correct or remove it"
    if fault := annotation_fault(entry, image_ids, None):
        if _has_non_finite(entry):
            return "not_finite", fault
        return "box_without_area" if _has_negative_side(entry.get("bbox")) else "invalid_entry", fault
    if _category(entry) not in keypoint_sets:
        category = reprlib.repr(entry.get("category_id"))
        return "invalid_entry", f"has the category_id {category}, which is not in categories; correct it"
    count, names = len(entry["keypoints"]) // 3, keypoint_sets[_category(entry)].names
    if count != len(names):
        text = f"has {count} keypoints, but its category has {len(names)}; label all, with visibility 0 where unknown"
        return "wrong_keypoint_count", text
    return "", None


def _keypoint_sets(coco: dict) -> tuple[dict[int | str | None, KeypointSet], set]:
    """Returns the keypoint sets of categories, and the ids of categories without keypoints, which are not of interest.

    If no category names its keypoints, all have one set, with the most common number of keypoints.
    """
    listed = coco.get("categories")
    categories = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    named = [c for c in categories if isinstance(c.get("keypoints"), list) and c["keypoints"]]
    annotations = [a for a in coco["annotations"] if isinstance(a, dict)]
    if not named:
        lengths = collections.Counter(len(a["keypoints"]) for a in annotations if isinstance(a.get("keypoints"), list))
        count = lengths.most_common(1)[0][0] // 3 if lengths else 0
        unnamed = _keypoint_set({"keypoints": [f"keypoint {k}" for k in range(count)]})
        return dict.fromkeys(map(_category, annotations), unnamed), set()
    sets: dict[int | str | None, KeypointSet] = {_id(c): _keypoint_set(c) for c in named}
    return {None: next(iter(sets.values())), **sets}, {_id(c) for c in categories} - sets.keys()


def _keypoint_set(category: dict) -> KeypointSet:
    """Returns the keypoint set of a category; without a skeleton, that of a known set with the same names."""
    names = tuple(plain(name) for name in category["keypoints"])
    known = next((one for one in KEYPOINT_SETS.values() if one.names == names), None)
    index = {name: k for k, name in enumerate(names)}
    given = category.get("skeleton")
    numbers = range(1, len(names) + 1)
    skeleton = [tuple(pair) for pair in given if _is_pair(pair, numbers)] if isinstance(given, list) else []
    pairs = [(k, index[other]) for name, k in index.items() if (other := opposite(name)) in index and k < index[other]]
    return KeypointSet(
        name=str(category.get("name", "")),
        names=names,
        flip_pairs=tuple(pairs),
        skeleton=tuple((a - 1, b - 1) for a, b in skeleton) or (known.skeleton if known else ()),
        sigmas=(0.05,) * len(names),
        upper_body=(),
    )


def _is_pair(pair: object, numbers: range) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(one) is int and one in numbers for one in pair)


def _category(annotation: dict) -> int | str | None:
    """Returns the category_id; a text, which is no category's id, if it is not an integer."""
    category = annotation.get("category_id")
    return category if category is None or type(category) is int else str(category)


def _id(entry: object) -> int | None:
    id = entry.get("id") if isinstance(entry, dict) else None
    return id if type(id) is int else None


def _label(entry: object, index: int) -> str:
    return f"number {index}" if _id(entry) is None else str(_id(entry))


def _has_negative_side(box: object) -> bool:
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, int | float) for number in box):
        return False
    return min(box[2:]) < 0


def _has_non_finite(entry: object) -> bool:
    """Returns whether a number in the fields of an entry of JSON, or in their lists, is NaN or infinite."""
    fields = entry.values() if isinstance(entry, dict) else ()
    numbers = (number for field in fields for number in (field if isinstance(field, list) else [field]))
    return any(isinstance(number, float) and not math.isfinite(number) for number in numbers)
