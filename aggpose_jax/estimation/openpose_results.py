"""COCO results from a folder of OpenPose files, matched to the images of a data set by the names of the files."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import coco_results
from aggpose_jax.recordings import openpose_people
from aggpose_jax.recordings.openpose_people import SUFFIX


class OpenPoseResults(NamedTuple):
    """The persons that OpenPose found in the images of a data set.

    Attributes:
      results: COCO results, one for each person. A keypoint that was not found is 0, 0, 0.
      found: names of the keypoints of the set that the files can contain; None if no file has a person.
      images_without_file: number of images that have no file, and so no result.
      unmatched: names of the files that belong to no image.
    """

    results: list[dict]
    found: list[str] | None
    images_without_file: int
    unmatched: list[str]


def read_results(folder: pathlib.Path, images: Sequence[dict], keypoint_set: KeypointSet) -> OpenPoseResults:
    """Reads the OpenPose files of images: IMAGE_keypoints.json belongs to the image IMAGE.jpg in any folder.

    Args:
      folder: folder that OpenPose wrote with --write_json.
      images: the COCO list `images`, with id and file_name.
      keypoint_set: set of the keypoints that the results get, see `openpose_people.sources`.

    Raises:
      UserError: the folder has no OpenPose file or none of these images, a file is not one of OpenPose, or two images
        have the same name.
    """
    files = {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    if not files:
        raise UserError(f"{folder}: has no file IMAGE{SUFFIX}; give a folder that OpenPose wrote with --write_json")
    by_stem = _by_stem(images)
    unmatched = [path.name for stem, path in files.items() if stem not in by_stem]
    if len(unmatched) == len(files):
        raise UserError(f"{folder}: none of its {len(files)} files belongs to an image of the data set, such as "
                        f"{unmatched[0]}; give the files of these images, or another split or data set")  # fmt: skip
    names = openpose_people.sources(keypoint_set)
    image_ids, poses, scores = [], [], []
    points: set[str] = set()
    for stem, image in by_stem.items():
        for person in openpose_people.read_people(files[stem]) if stem in files else []:
            image_ids.append(image["id"])
            poses.append(openpose_people.select(person, names))
            scores.append(person.score)
            points |= person.points.keys()
    found = [name for name, source in zip(keypoint_set.names, names, strict=True) if source in points]
    results = coco_results(image_ids, np.reshape(poses, (-1, len(names), 3)), np.array(scores))
    return OpenPoseResults(results, found if poses else None, len(by_stem.keys() - files.keys()), unmatched)


def _by_stem(images: Sequence[dict]) -> dict[str, dict]:
    """Returns the images by their file names without folder and suffix, in the given order."""
    by_stem: dict[str, dict] = {}
    for image in images:
        stem = pathlib.PurePosixPath(image["file_name"]).stem
        other = by_stem.setdefault(stem, image)
        if other is not image:
            raise UserError(f"{other['file_name']} and {image['file_name']} would have the same OpenPose file "
                            f"{stem}{SUFFIX}; give the images of the data set different names")  # fmt: skip
    return by_stem
