"""Reads and writes CVAT's format "CVAT for images 1.1": an XML file with a <skeleton> for each person.

The <points> of a skeleton have the names of the keypoints as labels. A point with outside="1" is not labelled, one with
occluded="1" is hidden. Files of annotated videos ("CVAT for video") have tracks instead and are refused.

CVAT puts pixel corners at integers, so half a pixel is added to x and y in writing and subtracted in reading. CVAT
itself writes two decimals.

An exported folder has annotations.xml, the images in images/, and labels.json: paste it as the raw labels of a new
task, create the task with the images, and then upload annotations.xml as annotations.
"""

import pathlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, checked_images, empty, is_position
from aggpose_jax.pose.keypoint_files import set_of_names
from aggpose_jax.pose.keypoints import KeypointSet

CORNER = 0.5  # x and y of the centre of the first pixel, in CVAT
FILE, LABELS_FILE = "annotations.xml", "labels.json"
PERSON = "person"  # label of the skeletons that are written


def write(labels: LabelSet, out: pathlib.Path) -> None:
    """Writes OUT/annotations.xml and OUT/labels.json; images need a size."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    _add_meta(root, labels.keypoint_set)
    for number, image in enumerate(labels.images):
        assert image.size is not None
        height, width = map(str, image.size)
        element = ElementTree.SubElement(root, "image", id=str(number), name=image.file, width=width, height=height)
        for person in image.persons[(image.persons[..., 2] > 0).any(-1)]:
            _add_skeleton(element, person, labels.keypoint_set.names)
    ElementTree.indent(root)
    io.write_bytes(out / FILE, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    io.write_json(out / LABELS_FILE, [_raw_label(labels.keypoint_set)], indent=2)


def _add_meta(root: ElementTree.Element, keypoint_set: KeypointSet) -> None:
    """Adds the names of the labels as CVAT exports them: the skeleton, and each of its points with their parent."""
    listed = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for name, kind in ((PERSON, "skeleton"), *((name, "points") for name in keypoint_set.names)):
        label = ElementTree.SubElement(listed, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "type").text = kind
        if kind == "points":
            ElementTree.SubElement(label, "parent").text = PERSON


def _add_skeleton(image: ElementTree.Element, person: np.ndarray, names: Iterable[str]) -> None:
    skeleton = ElementTree.SubElement(image, "skeleton", label=PERSON, source="file", z_order="0")
    middle = person[person[:, 2] > 0, :2].mean(0)  # where points that are not labelled wait to be moved
    for name, (x, y, visibility) in zip(names, person, strict=True):
        x, y = (x, y) if visibility > 0 else middle
        ElementTree.SubElement(
            skeleton,
            "points",
            label=name,
            source="file",
            outside=str(int(visibility == 0)),
            occluded=str(int(visibility == 1)),
            points=f"{x + CORNER:.3f},{y + CORNER:.3f}",
        )


def _raw_label(keypoint_set: KeypointSet) -> dict:
    """Returns the skeleton as CVAT's raw labels describe it, with its points on a circle."""
    names = keypoint_set.names
    angles = 2 * np.pi * np.arange(len(names)) / len(names)
    points = np.stack([50 + 40 * np.sin(angles), 50 - 40 * np.cos(angles)], -1).round(2).tolist()
    lines = [
        f'<line x1="{points[a][0]}" y1="{points[a][1]}" x2="{points[b][0]}" y2="{points[b][1]}" stroke="black" '
        f'data-type="edge" data-node-from="{a + 1}" stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in keypoint_set.skeleton
    ]
    circles = []
    for number, (name, (x, y)) in enumerate(zip(names, points, strict=True), 1):
        circle = ElementTree.Element("circle", {
            "r": "1.5", "stroke": "black", "fill": "#b3b3b3", "cx": str(x), "cy": str(y), "stroke-width": "0.1",
            "data-type": "element node", "data-element-id": str(number), "data-node-id": str(number),
            "data-label-name": name,
        })  # fmt: skip
        circles.append(ElementTree.tostring(circle, encoding="unicode", short_empty_elements=False))
    sublabels = [{"name": name, "type": "points", "attributes": []} for name in names]
    return {
        "name": PERSON,
        "type": "skeleton",
        "attributes": [],
        "sublabels": sublabels,
        "svg": "".join(lines + circles),
    }


def read(path: pathlib.Path) -> LabelSet:
    """Reads the skeletons of an XML file, or of annotations.xml in a folder.

    The keypoints are those that the file lists as labels, then those that only skeletons have. The images are in
    images/ beside the file, where CVAT exports them, or else beside the file.

    Raises:
      UserError: the file cannot be read or is damaged, is of an annotated video, has no skeleton, or a skeleton has a
        keypoint twice.
    """
    file = path / FILE if path.is_dir() else path
    root = _read_root(file)
    if root.find("track") is not None:
        raise UserError(f'{file} is of an annotated video; export it as "CVAT for images 1.1"')
    found = [(image, image.findall("skeleton")) for image in root.iter("image")]
    listed = [e.findtext("name") or "" for e in root.iter("label") if e.findtext("parent")]
    used = [p.get("label", "") for _, skeletons in found for skeleton in skeletons for p in skeleton.findall("points")]
    names = tuple(dict.fromkeys((*listed, *used)))
    if not used:
        raise UserError(f"{file}: no image has a skeleton; annotate persons as skeletons, and export them")
    keypoint_set = set_of_names(names, PERSON)
    images = []
    for element, skeletons in found:
        persons = empty(len(skeletons), keypoint_set)
        for person, skeleton in zip(persons, skeletons, strict=True):
            _fill(file, element, person, skeleton, names)
        images.append(LabelledImage(element.get("name", "").replace("\\", "/"), _size(file, element), persons))
    folder = file.parent / "images"
    return LabelSet(keypoint_set, checked_images(file, images), folder if folder.is_dir() else file.parent)


def _read_root(file: pathlib.Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except ElementTree.ParseError as error:
        kind = (
            "is a ZIP file; unpack it first"
            if file.suffix == ".zip"
            else f"is not valid XML ({error}); export it again"
        )
        raise UserError(f"{file} {kind}") from error
    if root.tag != "annotations":
        raise UserError(f'{file} is no file of annotations; export it from CVAT as "CVAT for images 1.1"')
    return root


def _size(file: pathlib.Path, image: ElementTree.Element) -> tuple[int, int]:
    try:
        return int(image.get("height", "")), int(image.get("width", ""))
    except ValueError as error:
        raise UserError(f"{file}: image {image.get('name')} has no width and height; export it again") from error


def _fill(
    file: pathlib.Path,
    image: ElementTree.Element,
    person: np.ndarray,
    skeleton: ElementTree.Element,
    names: tuple[str, ...],
) -> None:
    """Fills a person [K, 3] with the points of a skeleton."""
    seen = set()
    for element in skeleton.findall("points"):
        name = element.get("label", "")
        where = f"{file}: image {image.get('name')}: the point {name}"
        if name in seen:
            raise UserError(f"{where} occurs twice in a skeleton; remove one")
        seen.add(name)
        if element.get("outside") == "1":
            continue
        try:
            x, y = (float(value) - CORNER for value in element.get("points", "").split(","))
        except ValueError as error:
            raise UserError(f"{where} has no x,y ({error}); export it again") from error
        if not is_position(x, y):
            raise UserError(f"{where} is at {element.get('points')}, which is not finite or too large; correct it")
        person[names.index(name)] = x, y, 1 if element.get("occluded") == "1" else 2
