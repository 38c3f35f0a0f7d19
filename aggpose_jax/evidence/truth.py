"""The ground truth of an evaluation that no experiment names: a COCO file, or one for each film."""

import dataclasses
import pathlib
from typing import Any

from aggpose_jax import io
from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.data.coco import with_counted_keypoints
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KEYPOINT_SETS, KeypointSet, find_keypoint_set


@dataclasses.dataclass(frozen=True)
class Truth:
    """The ground truth of an evaluation.

    Attributes:
      ground_truth: COCO dict. In a truth of films, images have new ids, the field `film`, and their number as `frame`.
      keypoint_set: set of the keypoints of its persons.
      description: items of the evaluation card: where the data come from.
      films: the ids of the images of a film by its name and their frame numbers; None if the truth is one file.
    """

    ground_truth: dict[str, Any]
    keypoint_set: KeypointSet
    description: dict[str, str]
    films: dict[str, dict[int, int]] | None = None


def read_truth(path: pathlib.Path, keypoint_set: str | None) -> Truth:
    """Reads a file of COCO keypoint annotations, or a folder with one such file per film, FILM.json.

    In the files of films the image ids are the frame numbers, as in `prepare synthetic`; each film is one video.

    Args:
      path: file or folder.
      keypoint_set: name or file of the set of the keypoints. None takes the known set whose names the file has.

    Raises:
      UserError: the file is missing or invalid, or its keypoints are those of no known set.
    """
    files = sorted(path.glob("*.json"), key=io.natural_order) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: has no file FILM.json; give a file or folder of COCO keypoint annotations")
    chosen = find_keypoint_set(keypoint_set) if keypoint_set else _known_set(files[0])
    truths = [_read(file, chosen) for file in files]
    description = {"truth": str(path), "keypoint set": chosen.name}
    if not path.is_dir():
        return Truth(truths[0], chosen, description)
    merged: dict[str, Any] = {"images": [], "annotations": [], "categories": truths[0].get("categories", [])}
    films = {file.stem: _append(merged, truth, file.stem) for file, truth in zip(files, truths, strict=True)}
    return Truth(merged, chosen, description, films)


def _read(file: pathlib.Path, keypoint_set: KeypointSet) -> dict[str, Any]:
    coco = read_annotations(file, keypoint_set.names)
    sizes = {image["id"]: (image["height"], image["width"]) for image in coco["images"]}
    return {**coco, "annotations": [with_counted_keypoints(a, sizes[a["image_id"]]) for a in coco["annotations"]]}


def _known_set(file: pathlib.Path) -> KeypointSet:
    """Returns the known set whose keypoints a category of the file has in their order."""
    coco = io.read_json(file)
    categories = coco.get("categories") if isinstance(coco, dict) else None
    named = [c["keypoints"] for c in categories or [] if isinstance(c, dict) and isinstance(c.get("keypoints"), list)]
    for keypoint_set in KEYPOINT_SETS.values():
        if any(tuple(names) == keypoint_set.names for names in named):
            return keypoint_set
    reordered = [s.name for s in KEYPOINT_SETS.values() if any(set(map(str, names)) == set(s.names) for names in named)]
    which = f"has the keypoints of {reordered[0]} in another order" if reordered else (
        f"has no category with the keypoints of {' or '.join(KEYPOINT_SETS)}")  # fmt: skip
    raise UserError(f"{file}: {which}; give the set of its keypoints with --keypoint-set")


def _append(merged: dict[str, Any], truth: dict[str, Any], film: str) -> dict[int, int]:
    """Appends a film to a merged truth, with new ids; returns the new image ids by frame number."""
    first_image, first_person = len(merged["images"]), len(merged["annotations"]) + 1
    ids = {image["id"]: first_image + i for i, image in enumerate(truth["images"])}
    merged["images"] += [
        {**image, "id": ids[image["id"]], "film": film, "video_id": film, "frame": image["id"],
         "file_name": f"{film}/{image['file_name']}"}
        for image in truth["images"]
    ]  # fmt: skip
    merged["annotations"] += [
        {**annotation, "id": first_person + i, "image_id": ids[annotation["image_id"]]}
        for i, annotation in enumerate(truth["annotations"])
    ]
    return ids
