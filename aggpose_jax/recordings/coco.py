"""Writes and reads COCO keypoint results: a list of {image_id, category_id, keypoints [x, y, score, …], score}.

`image_id` is the number of the video frame, from 0, or of the image; images have a `file_name` as well. The format does
not store times.
"""

import json
import pathlib

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import coco_results
from aggpose_jax.recordings.poses import Poses


def write(poses: Poses, path: pathlib.Path) -> None:
    """Writes poses as a COCO results file, which pycocotools' loadRes can read, atomically."""
    results = coco_results(poses.numbers[poses.row], poses.keypoints, poses.scores)
    if poses.files:
        results = [r | {"file_name": poses.files[row]} for r, row in zip(results, poses.row, strict=True)]
    io.write_json(path, results)


def read(path: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads poses from a COCO results file. Frames without a pose are missing, because the format does not store them.

    Raises:
      UserError: the file cannot be read, is not a results file, or has another number of keypoints.
    """
    try:
        results = json.loads(path.read_bytes())
        keypoints = np.array([r["keypoints"] for r in results], np.float64)
        images = np.array([r["image_id"] for r in results], np.int64)
        files = {r["image_id"]: r["file_name"] for r in results if "file_name" in r}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not a list of COCO keypoint results ({error}); check the file") from error
    if len(results) and keypoints.shape[1:] != (3 * len(keypoint_set),):
        raise UserError(f"{path}: the poses have {keypoints.shape[1] / 3:g} keypoints, but {keypoint_set.name} has "
                        f"{len(keypoint_set)}; give the keypoint set of the file")  # fmt: skip
    order = np.argsort(images, kind="stable")
    numbers, row = np.unique(images[order], return_inverse=True)
    person = np.arange(len(row)) - np.searchsorted(row, row)
    return Poses(
        keypoint_set,
        numbers,
        np.full(len(numbers), np.nan),
        row,
        person,
        keypoints[order].reshape(-1, len(keypoint_set), 3),
        tuple(files[n] for n in numbers.tolist()) if files else (),
    )
