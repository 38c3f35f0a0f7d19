"""Reads and writes LabelMe files: a JSON file beside each image, with a shape of type "point" for each keypoint.

A shape's label is the name of the keypoint and its group_id the number of the person (null: the only one). A keypoint
without a shape is not labelled. It is hidden if the shape's flag "occluded" is true, or its description is "occluded";
start LabelMe with `--labelflags '{".*": ["occluded"]}'` to set the flag with the mouse. Shapes of other types are
ignored.

LabelMe puts pixel corners at integers, so half a pixel is added to x and y in writing and subtracted in reading.
"""

import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.folders import visible_files
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, checked_images, empty, is_position
from aggpose_jax.pose.keypoint_files import set_of_names

CORNER = 0.5  # x and y of the centre of the first pixel, in LabelMe
OCCLUDED = "occluded"
VERSION = "5.5.0"  # of LabelMe, whose fields these are

_Person = dict[str, tuple[float, float, int]]  # x, y, visibility of each labelled keypoint


def write(labels: LabelSet, out: pathlib.Path) -> None:
    """Writes a JSON file beside each image in OUT; images need a size."""
    for image in labels.images:
        assert image.size is not None
        content: dict[str, object] = {
            "version": VERSION,
            "flags": {},
            "shapes": list(_shapes(image.persons, labels.keypoint_set.names)),
            "imagePath": posixpath.basename(image.file),
            "imageData": None,
            "imageHeight": image.size[0],
            "imageWidth": image.size[1],
        }
        io.write_json((out / image.file).with_suffix(".json"), content, indent=2)


def _shapes(persons: np.ndarray, names: tuple[str, ...]) -> Iterator[dict]:
    for number, person in enumerate(persons):
        for name, (x, y, visibility) in zip(names, person.tolist(), strict=True):
            if visibility > 0:
                yield {
                    "label": name,
                    "points": [[round(x + CORNER, 4), round(y + CORNER, 4)]],
                    "group_id": number,
                    "description": "",
                    "shape_type": "point",
                    "flags": {OCCLUDED: visibility < 2},
                    "mask": None,
                }


def read(path: pathlib.Path) -> LabelSet:
    """Reads the LabelMe files of a folder and its folders, or one file. JSON files without shapes are ignored.

    The keypoints are those that occur, in the order of their first occurrence.

    Raises:
      UserError: a file cannot be read or is damaged, no keypoint is labelled, a person has a keypoint twice, or an
        image lies outside of the folder.
    """
    if not path.exists():
        raise UserError(f"{path} is missing; check the path")
    folder = path if path.is_dir() else path.parent
    files = [file for file in visible_files(path) if file.suffix == ".json"] if path.is_dir() else [path]
    contents = [(file, io.read_json(file)) for file in files]
    read_files = [(file, content) for file, content in contents if _is_labelme(content)]
    if not read_files:
        raise UserError(f"{path}: no LabelMe file (JSON with shapes and imagePath); label an image, and save it")
    found = [(_image_file(file, content, folder), content, _persons(file, content)) for file, content in read_files]
    names = tuple(dict.fromkeys(name for *_, persons in found for person in persons for name in person))
    if not names:
        raise UserError(f"{path}: no shape of type point; label keypoints as points")
    keypoint_set = set_of_names(names, folder.resolve().name)
    images = []
    for file, content, persons in found:
        array = empty(len(persons), keypoint_set)
        for row, person in enumerate(persons):
            for name, values in person.items():
                array[row, names.index(name)] = values
        images.append(LabelledImage(file, _size(content), array))
    return LabelSet(keypoint_set, checked_images(path, images), folder)


def _is_labelme(content: object) -> TypeGuard[dict]:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _image_file(file: pathlib.Path, content: dict, folder: pathlib.Path) -> str:
    """Returns the path of an image relative to the folder; LabelMe's is relative to its file, on Windows with \\."""
    image = content["imagePath"]
    if not isinstance(image, str) or not image or "\0" in image:
        raise UserError(f"{file}: imagePath is {image!r}; give the name of the image beside the file")
    relative = os.path.relpath(os.path.abspath(file.parent / image.replace("\\", "/")), os.path.abspath(folder))
    if relative.startswith(".."):
        raise UserError(f"{file}: imagePath {image} leads out of {folder}; put the images beside their files")
    return pathlib.PurePath(relative).as_posix()


def _size(content: dict) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    return (height, width) if type(height) is int and type(width) is int else None


def _persons(file: pathlib.Path, content: dict) -> list[_Person]:
    """Returns the persons of a file in the order of their group ids."""
    groups: dict[int, _Person] = {}
    for number, shape in enumerate(content["shapes"]):
        if not isinstance(shape, dict) or shape.get("shape_type") != "point":
            continue
        name, group = shape.get("label"), shape.get("group_id")
        try:
            ((x, y),) = shape["points"]
            x, y = float(x) - CORNER, float(y) - CORNER
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file}: shape number {number} is no point ({error}); label it again") from error
        if not isinstance(name, str) or not is_position(x, y) or type(group) not in (int, type(None)):
            raise UserError(f"{file}: shape number {number} has an invalid label, group_id or point; label it again")
        person = groups.setdefault(-1 if group is None else group, {})
        if name in person:
            raise UserError(
                f"{file}: {name} is labelled twice for one person; remove one, or give each person a group_id"
            )
        person[name] = (x, y, 1 if _is_occluded(shape) else 2)
    return [groups[group] for group in sorted(groups)]


def _is_occluded(shape: dict) -> bool:
    flags = shape.get("flags")
    return (isinstance(flags, dict) and flags.get(OCCLUDED) is True) or shape.get("description") == OCCLUDED
