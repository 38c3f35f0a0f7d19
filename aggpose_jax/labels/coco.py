"""Reads and writes COCO keypoint files of this package and of other tools.

Coordinates are as in COCO's own files and in this package, with pixel centres at integers, and are not changed. Some
tools, CVAT among them, write COCO files with pixel corners at integers, half a pixel further: use their own format.

An exported folder has annotations.json and the images in images/.
"""

import pathlib

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, checked_images, empty, to_coco, with_fields
from aggpose_jax.pose.keypoint_files import plain, set_of_names
from aggpose_jax.pose.keypoints import KEYPOINT_SETS, KeypointSet

FILE = "annotations.json"
OWN_FIELDS = ("file_name", "height", "width")  # fields of an image that are not among `LabelledImage.fields`


def write(labels: LabelSet, out: pathlib.Path) -> None:
    """Writes OUT/annotations.json; images need a size."""
    io.write_json(out / FILE, to_coco(labels._replace(images=with_fields(labels.images))))


def read(path: pathlib.Path, images: pathlib.Path | None = None, keypoint_set: KeypointSet | None = None) -> LabelSet:
    """Reads a COCO keypoint file; crowds are left out.

    Args:
      path: the file, or a folder with annotations.json.
      images: folder of the images. None is images/ beside the file, or SPLIT/ for DIR/annotations/NAME_SPLIT.json.
      keypoint_set: the set of annotations whose categories do not name their keypoints.

    Raises:
      UserError: the file is missing or invalid (see `data.annotations`), its keypoints are unknown, or categories that
        are used have different ones.
    """
    file = path / FILE if path.is_dir() else path
    coco = read_annotations(file)
    coco["annotations"] = [a for a in coco["annotations"] if not a.get("iscrowd")]
    found = _keypoint_set(file, coco, keypoint_set)
    persons_of: dict[int, list[np.ndarray]] = {}
    for annotation in coco["annotations"]:
        persons_of.setdefault(annotation["image_id"], []).append(_person(file, annotation, found))
    entries = [
        LabelledImage(
            image["file_name"].replace("\\", "/"),
            (round(image["height"]), round(image["width"])),
            np.array(persons_of[image["id"]]) if image["id"] in persons_of else empty(0, found),
            {key: value for key, value in image.items() if key not in OWN_FIELDS},
        )
        for image in coco["images"]
    ]
    return LabelSet(found, checked_images(file, entries), images or image_folder(file))


def image_folder(file: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the images: DIR/SPLIT for DIR/annotations/NAME_SPLIT.json, images/ beside another file."""
    if file.parent.name == "annotations" and "_" in file.stem:
        return file.parent.parent / file.stem.rpartition("_")[2]
    return file.parent / "images"


def _keypoint_set(file: pathlib.Path, coco: dict, given: KeypointSet | None) -> KeypointSet:
    """Returns the keypoint set of the categories of the annotations, or the one with as many keypoints."""
    listed = [c for c in coco.get("categories") or [] if isinstance(c, dict) and isinstance(c.get("keypoints"), list)]
    used = {a.get("category_id") for a in coco["annotations"]}
    named = [c for c in listed if c["keypoints"] and (c.get("id") in used or not used)]
    if named:
        first, names = named[0], list(map(str, named[0]["keypoints"]))
        for other in named:
            if list(map(plain, map(str, other["keypoints"]))) != list(map(plain, names)):
                raise UserError(f"{file}: the categories {first.get('name')} and {other.get('name')} have different "
                                "keypoints; leave only one in the file")  # fmt: skip
        if len(set(names)) < len(names):
            raise UserError(f"{file}: the category {first.get('name')} names a keypoint twice; make its names unique")
        limbs = [[names[k - 1] for k in limb] for limb in first.get("skeleton") or [] if _is_limb(limb, len(names))]
        return set_of_names(names, plain(str(first.get("name"))), limbs)
    if given is not None:
        return given
    counts = {len(a["keypoints"]) // 3 for a in coco["annotations"]}
    for known in KEYPOINT_SETS.values():
        if counts == {len(known)}:
            return known
    raise UserError(f"{file}: no category names its keypoints; add them, or give --keypoint-set")


def _is_limb(limb: object, count: int) -> bool:
    return isinstance(limb, list) and len(limb) == 2 and all(type(k) is int and 1 <= k <= count for k in limb)


def _person(file: pathlib.Path, annotation: dict, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns the keypoints of an annotation, [K, 3], with a visibility of 0, 1 or 2."""
    person = np.reshape(np.array(annotation["keypoints"], np.float64), (-1, 3))
    if len(person) != len(keypoint_set):
        raise UserError(f"{file}: annotation {annotation['id']} has {len(person)} keypoints but its category has "
                        f"{len(keypoint_set)}; correct it, or give another --keypoint-set")  # fmt: skip
    visibility = np.where(person[:, 2] > 0, np.clip(np.round(person[:, 2]), 1, 2), 0)
    person[:, 2] = visibility
    return np.where(visibility[:, None] > 0, person, 0)
