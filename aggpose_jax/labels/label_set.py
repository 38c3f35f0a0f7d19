"""LabelSet: labelled images as all formats of annotation tools have them, and what they become for training."""

import collections
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.annotations import MAX_COORDINATE
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.pose.keypoints import KeypointSet

# Names of the files of video frames: film_frame000012.png, and in a project of DeepLabCut film/img012.png.
_FRAME = re.compile(r"(?:^|.*/)(?:([^/]+)_frame|([^/]+)/img)([0-9]{1,9})\.[A-Za-z]+")


class LabelledImage(NamedTuple):
    """An image with its P labelled persons.

    Attributes:
      file: path of the image relative to the folder of the images, with forward slashes.
      size: (height, width) in pixels; None if the format does not store it.
      persons: [P, K, 3] x, y and visibility. x and y are in pixels, with pixel centres at integers. Visibility is 0 for
        a keypoint without a label, whose x and y are 0, 1 for a hidden and 2 for a visible one.
      fields: further fields of the image in COCO's format, such as id, video_id and frame.
    """

    file: str
    size: tuple[int, int] | None
    persons: np.ndarray
    fields: Mapping[str, object] = {}


class LabelSet(NamedTuple):
    """Labelled images, their keypoints, and the folder in which the images lie."""

    keypoint_set: KeypointSet
    images: tuple[LabelledImage, ...]
    folder: pathlib.Path


def file_fault(name: object) -> str | None:
    """Returns what is wrong with a relative path of a file, as the end of a message; None if it is valid."""
    is_printable = isinstance(name, str) and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name)
    path = pathlib.PurePosixPath(name) if isinstance(name, str) and is_printable else None
    if path is None or path.is_absolute() or ".." in path.parts or not path.parts or re.match("[A-Za-z]:", str(path)):
        return f"has the file name {name!r}; give a relative path inside the folder of the images"
    if any(len(part.encode()) > 255 for part in path.parts):
        return f"has a file name of more than 255 bytes ({name[:40]}…); shorten it"  # type: ignore[index]
    return None


def is_position(x: float, y: float) -> bool:
    """Returns whether both coordinates are numbers of at most MAX_COORDINATE pixels."""
    return abs(x) <= MAX_COORDINATE and abs(y) <= MAX_COORDINATE  # False for NaN


def checked_images(where: pathlib.Path, images: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Returns images in natural order of their files.

    Args:
      where: the label file or folder, for messages.
      images: the images that it lists.

    Raises:
      UserError: there is no image, a name cannot be that of a file, or two entries are of the same image.
    """
    images = sorted(images, key=lambda image: io.natural_order(image.file))
    if not images:
        raise UserError(f"{where}: no labelled image; label at least one, and export it")
    for image in images:
        if fault := file_fault(image.file):
            raise UserError(f"{where}: an image {fault}")
    files = [pathlib.PurePosixPath(image.file).as_posix() for image in images]
    repeated = [file for file, count in collections.Counter(files).items() if count > 1]
    if repeated:
        raise UserError(f"{where}: {repeated[0]} is labelled twice; keep one of its entries")
    return tuple(image._replace(file=file) for image, file in zip(images, files, strict=True))


def empty(count: int, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns `count` persons without a labelled keypoint, [count, K, 3]."""
    return np.zeros((count, len(keypoint_set), 3))


def in_keypoint_set(labels: LabelSet, target: KeypointSet) -> tuple[LabelSet, list[str]]:
    """Returns labels with the keypoints of another set, which correspond by name, and the names that have none.

    Names are equal if they differ only in case and in the characters between words. Keypoints of the target without a
    counterpart are not labelled.

    Raises:
      UserError: no name corresponds.
    """
    index = {plain(name): k for k, name in enumerate(target.names)} | {name: k for k, name in enumerate(target.names)}
    names = labels.keypoint_set.names
    to = [index.get(name, index.get(plain(name))) for name in names]
    if all(k is None for k in to):
        raise UserError(
            f"{labels.folder}: no keypoint of the set {target.name} is in the labels, which have "
            f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}; give the --keypoint-set of the labels"
        )
    images = []
    for image in labels.images:
        persons = empty(len(image.persons), target)
        for source, k in enumerate(to):
            if k is not None:
                persons[:, k] = image.persons[:, source]
        images.append(image._replace(persons=persons))
    left_out = [name for name, k in zip(names, to, strict=True) if k is None]
    return labels._replace(keypoint_set=target, images=tuple(images)), left_out


def with_fields(images: Iterable[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Returns images of which each has an id, and video_id and frame if its name has them.

    What an image has already stays. New ids are the smallest that are free, from 1. Names have video and frame as in
    film_frame000012.png or film/img012.png.
    """
    images = list(images)
    taken = {image.fields["id"] for image in images if "id" in image.fields}
    free = (number for number in range(1, len(images) + len(taken) + 1) if number not in taken)
    completed = []
    for image in images:
        fields = dict(image.fields)
        found = _FRAME.fullmatch(image.file)
        if found and "video_id" not in fields and "frame" not in fields:
            fields |= {"video_id": found[1] or found[2], "frame": int(found[3])}
        if "id" not in fields:
            fields["id"] = next(free)
        completed.append(image._replace(fields=fields))
    return tuple(completed)


def to_coco(labels: LabelSet) -> dict:
    """Returns labels as a COCO dict, whose images need a size and an id.

    Persons without a labelled keypoint are left out. The box of a person is the tight one around its labelled
    keypoints, and its area is that of geometry.estimate_area.
    """
    keypoint_set = labels.keypoint_set
    images: list[dict] = []
    annotations: list[dict] = []
    for image in labels.images:
        assert image.size is not None
        height, width = image.size
        images.append({**image.fields, "file_name": image.file, "height": height, "width": width})
        for person in image.persons[(image.persons[..., 2] > 0).any(-1)]:
            labelled = person[person[:, 2] > 0, :2]
            box = np.concatenate([labelled.min(0), np.ptp(labelled, axis=0)])
            annotations.append({
                "id": len(annotations) + 1, "image_id": image.fields["id"], "category_id": 1, "iscrowd": 0,
                "keypoints": _rounded(person), "num_keypoints": len(labelled), "bbox": _rounded(box),
                "area": round(geometry.estimate_area(person), 4),
            })  # fmt: skip
    skeleton = [[a + 1, b + 1] for a, b in keypoint_set.skeleton]
    category = {"id": 1, "name": "person", "keypoints": list(keypoint_set.names), "skeleton": skeleton}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _rounded(values: np.ndarray) -> list[float]:
    rounded: list[float] = np.round(values, 4).ravel().tolist()
    return rounded
