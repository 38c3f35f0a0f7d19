"""The origin of exported labels: a file in the exported folder from which an import restores ids and keypoints.

Annotation tools keep the names of images but not their ids. The file maps each name to the fields of the image in
COCO's format, such as id, video_id and frame, and has the keypoint set.
"""

import collections
import json
import pathlib
from typing import NamedTuple

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet
from aggpose_jax.pose.keypoint_files import to_fields
from aggpose_jax.pose.keypoints import KeypointSet, find_keypoint_set

FILE = "aggpose_origin.json"


class Origin(NamedTuple):
    """The keypoint set of exported labels, and the fields of each image by its file."""

    keypoint_set: KeypointSet
    images: dict[str, dict]


def write(labels: LabelSet, out: pathlib.Path) -> None:
    """Writes the origin of labels to the folder in which they are exported."""
    images = {image.file: dict(image.fields) for image in labels.images}
    io.write_json(out / FILE, {"keypoint_set": to_fields(labels.keypoint_set), "images": images})


def read(path: pathlib.Path) -> Origin | None:
    """Returns the origin beside a label file, or in a folder of labels; None if there is none.

    Raises:
      UserError: the file is damaged.
    """
    file = (path if path.is_dir() else path.parent) / FILE
    if not file.exists():
        return None
    content = io.read_json(file)
    try:
        images = {str(name): dict(fields) for name, fields in content["images"].items()}  # type: ignore[index, call-overload]
        keypoint_set = find_keypoint_set(json.dumps(content["keypoint_set"]))  # type: ignore[index, call-overload]
    except (TypeError, KeyError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"{file} is damaged ({error}); restore it, or remove it to import without the ids") from error
    return Origin(keypoint_set, images)


def restore(labels: LabelSet, origin: Origin) -> LabelSet:
    """Returns labels whose images have the fields of their origin, found by the file, or else by its name alone."""
    by_name: dict[str, list[dict]] = {}
    for file, fields in origin.images.items():
        by_name.setdefault(pathlib.PurePosixPath(file).name, []).append(fields)

    counts = collections.Counter(pathlib.PurePosixPath(image.file).name for image in labels.images)

    def fields_of(image: LabelledImage) -> dict:
        name = pathlib.PurePosixPath(image.file).name
        same_name = by_name.get(name, [])
        is_unique = len(same_name) == 1 and counts[name] == 1
        return origin.images.get(image.file) or (same_name[0] if is_unique else {})

    images = tuple(image._replace(fields={**image.fields, **fields_of(image)}) for image in labels.images)
    return labels._replace(images=images)
