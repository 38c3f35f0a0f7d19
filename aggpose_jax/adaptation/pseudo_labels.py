"""Keypoints that a network is sure of, written as a COCO data set to train on, with labelled data beside them if given.

A network that learns from its own predictions under stronger augmentation becomes consistent with them (Xie, Luong et
al. 2020, "Self-training with Noisy Student"; for poses Xie, Wang et al. 2021, "An Empirical Study of the Collapsing
Problem in Semi-Supervised 2D Human Pose Estimation").
"""

import collections
import itertools
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.adaptation.films import Film
from aggpose_jax.adaptation.selection import Selection, movement_of, select
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.views import MIN_KEYPOINT_SCORE
from aggpose_jax.errors import UserError
from aggpose_jax.inference.media import write_jpeg
from aggpose_jax.labels.label_set import LabelledImage, LabelSet, to_coco, with_fields
from aggpose_jax.labels.pictures import selected_frames
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.timeseries import calibration

HELD_OUT = 10  # one used frame in so many is not trained on; the run's own evaluation is the agreement with the teacher
LABELLED = "labelled"  # folder of the images of the labelled data set, in that of the training images
Frames = list[tuple[Film, int]]  # films and indices of examined frames


def select_points(film: Film, network: str) -> Selection:
    """Returns which keypoints in the F examined frames of a film are sure.

    Args:
      film: the film.
      network: digest of the network that found the keypoints; with a calibration of it, that judges the scores.
    """
    score = film.keypoints[film.rows][..., 2]
    keypoints = np.concatenate([film.straight[..., :2], score[..., None]], axis=-1)
    movement = movement_of(film.keypoints, film.torso)[film.rows]
    known = calibration.of_package()
    error = known.expected_error(score) if known.digest == network else None
    return select(keypoints, film.mirrored, film.torso, movement, expected_error=error)


def write(
    folder: pathlib.Path,
    films: Sequence[Film],
    selections: Sequence[Selection],
    keypoint_set: KeypointSet,
    labels: pathlib.Path | None = None,
) -> None:
    """Writes the used frames of films as the splits train and val of a COCO data set, unless that has been done.

    Keypoints that are not sure are not labelled. Labelled persons are added to the split train; the smaller of the two
    groups is repeated, so that half of the persons are labelled.

    Args:
      folder: of the data set; the annotations of train are written last.
      films: the films.
      selections: which of their keypoints are sure; at least one frame is used.
      keypoint_set: names of the K keypoints.
      labels: COCO data set whose split train is added; None for none.

    Raises:
      UserError: a film cannot be read any more, or the labelled data cannot be used.
    """
    if (folder / "annotations" / "person_keypoints_train.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    sure = {film.name: selection.sure for film, selection in zip(films, selections, strict=True)}
    used = [(f, int(i)) for f, s in zip(films, selections, strict=True) for i in np.flatnonzero(s.used)]
    trained_on = [one for number, one in enumerate(used) if number % HELD_OUT] or used
    for split, frames in (("val", used[::HELD_OUT]), ("train", trained_on)):
        coco = _write_images(folder / split, frames, sure, keypoint_set)
        if split == "train" and labels:
            coco = merge(coco, CocoKeypoints(labels, "train", keypoint_set).ground_truth())
            (folder / split / LABELLED).symlink_to((labels / "train").resolve(), target_is_directory=True)
        io.write_json(folder / "annotations" / f"person_keypoints_{split}.json", coco)


def _write_images(folder: pathlib.Path, frames: Frames, sure: dict[str, np.ndarray], keypoint_set: KeypointSet) -> dict:
    """Writes the images of frames and returns their COCO dict."""
    of_film: dict[str, list[tuple[Film, int]]] = collections.defaultdict(list)
    for film, i in frames:
        of_film[film.name].append((film, i))
    images, boxes = [], []
    for name, chosen in of_film.items():
        film = chosen[0][0]
        index = {int(film.rows[i]): i for _, i in chosen}
        for frame in selected_frames(film.path, index):
            file = f"films/{name}/{frame.index:06}.jpg"
            write_jpeg(frame.image, folder / file)
            pose, is_sure = film.keypoints[frame.index], sure[name][index[frame.index]]
            person = np.where(is_sure[:, None], [[*point[:2], 2] for point in pose], 0)
            images.append(LabelledImage(file, frame.image.shape[:2], person[None], {"video_id": name}))
            boxes.append(_box(pose))
    coco = to_coco(LabelSet(keypoint_set, with_fields(images), folder))
    for annotation, box in zip(coco["annotations"], boxes, strict=True):
        annotation["bbox"] = box
    return coco


def _box(pose: np.ndarray) -> list[float]:
    """Returns the box around the keypoints [K, 3] of a pose, also those that are not sure, as far as it has a score."""
    points = pose[pose[:, 2] > MIN_KEYPOINT_SCORE, :2]
    return [*map(float, points.min(axis=0)), *map(float, np.ptp(points, axis=0))]


def merge(coco: dict, labelled: dict) -> dict:
    """Returns a COCO dict with the persons of two; the smaller group is repeated, so that both are as large.

    Args:
      coco: dict of the pseudo-labels.
      labelled: dict of labelled data, whose images lie in the folder LABELLED. Crowds and persons without a labelled
        keypoint are left out.

    Raises:
      UserError: no labelled person is left.
    """
    persons = [one for one in labelled["annotations"] if one["num_keypoints"] and not one.get("iscrowd")]
    if not persons:
        raise UserError("--labels: no person of its split train has a labelled keypoint; label at least one")
    first = len(coco["images"]) + 1
    ids = {image["id"]: number for number, image in enumerate(labelled["images"], first)}
    images = [
        {**image, "id": ids[image["id"]], "file_name": f"{LABELLED}/{image['file_name']}"}
        for image in labelled["images"]
    ]
    persons = [{**one, "image_id": ids[one["image_id"]], "category_id": 1} for one in persons]
    count = max(len(persons), len(coco["annotations"]))
    both = [one for group in (coco["annotations"], persons) for one in itertools.islice(itertools.cycle(group), count)]
    annotations = [{**one, "id": number} for number, one in enumerate(both, 1)]
    return {**coco, "images": [*coco["images"], *images], "annotations": annotations}
