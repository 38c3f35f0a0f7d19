"""Scores the results of a system: COCO results, earlier evaluations, predictions on films, OpenPose's files."""

import pathlib
import sys
from collections import Counter
from typing import Any

from aggpose_jax.data.annotations import read_results
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import openpose_results
from aggpose_jax.estimation.evaluation import Evaluation, score, with_openpose
from aggpose_jax.estimation.openpose_results import OpenPoseResults
from aggpose_jax.evidence.truth import Truth
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.openpose_people import SUFFIX

PREDICTED = "keypoints.json"  # COCO results of one film, in the folder of the film that `aggpose predict` writes
RESULTS = "results.json"  # COCO results in the folder of an earlier evaluation
NAMED = 10  # files that match no image, of which a warning contains the names


def score_results(path: pathlib.Path, truth: Truth) -> Evaluation:
    """Scores the results of a system on a truth; prints what is missing or occurs twice.

    Args:
      path: COCO results; or a folder: of an earlier evaluation, of predictions on the films of the truth, or of
        OpenPose files.
      truth: the truth.

    Raises:
      UserError: a file is missing, damaged or does not fit the truth.
    """
    ground_truth, keypoint_set = truth.ground_truth, truth.keypoint_set
    if not path.exists():
        raise missing(path)
    if path.is_dir() and (path / RESULTS).is_file():
        results = read_results(path / RESULTS, ground_truth, len(keypoint_set))
    elif path.is_file():
        results = read_results(path, ground_truth, len(keypoint_set))
    elif truth.films is not None and not any(path.glob(f"*{SUFFIX}")):
        results = _of_films(path, truth.films, len(keypoint_set))
    else:
        found = openpose_results.read_results(path, ground_truth["images"], keypoint_set)
        _print_coverage(found, len(ground_truth["images"]), keypoint_set)
        return with_openpose(score(found.results, ground_truth, keypoint_set), ground_truth, keypoint_set)
    for warning in warnings(results, ground_truth):
        print(f"warning: {path}: {warning}", file=sys.stderr)
    return with_openpose(score(results, ground_truth, keypoint_set), ground_truth, keypoint_set)


def missing(path: pathlib.Path) -> UserError:
    """Returns the error of a path that does not exist."""
    return UserError(f"{path}: no such file or folder; check the path")


def warnings(results: list[dict[str, Any]], ground_truth: dict[str, Any]) -> list[str]:
    """Returns what is suspicious in results: images with persons but no result, and results that occur twice."""
    shown = {a["image_id"] for a in ground_truth["annotations"] if any(a["keypoints"][2::3])}
    without = shown - {result["image_id"] for result in results}
    found = []
    if without:
        found.append(f"{len(without)} of {len(shown)} images with a person have no result and count as images without "
                     "detection")  # fmt: skip
    counts = Counter((result["image_id"], *map(float, result["keypoints"])) for result in results)
    twice = [key[0] for key, count in counts.items() if count > 1]
    if twice:
        found.append(f"{len(twice)} results occur more than once, first in image {twice[0]}; the copies count as false "
                     "detections")  # fmt: skip
    return found


def _of_films(folder: pathlib.Path, films: dict[str, dict[int, int]], keypoints: int) -> list[dict[str, Any]]:
    """Returns the results that `predict` wrote for films, with the image ids of their truth."""
    files = {film: folder / film / PREDICTED for film in films}
    if not any(file.is_file() for file in files.values()):
        raise UserError(f"{folder}: has neither {RESULTS} nor {next(iter(films))}/{PREDICTED}; give the --out of "
                        "predict on these films")  # fmt: skip
    results = []
    for film, file in files.items():
        if file.is_file():
            ids = films[film]
            found = read_results(file, {"images": [{"id": frame} for frame in ids], "annotations": []}, keypoints)
            results += [{**result, "image_id": ids[result["image_id"]]} for result in found]
    return results


def _print_coverage(found: OpenPoseResults, images: int, keypoint_set: KeypointSet) -> None:
    """Prints how many keypoints OpenPose can find, and warns of images without file and files without image."""
    count = len(keypoint_set)
    if found.found is None:
        print("OpenPose found no person in these files")
    else:
        never = [name for name in keypoint_set.names if name not in found.found]
        which = f"; never: {', '.join(never)}" if never else ""
        print(f"OpenPose finds {count - len(never)} of {count} keypoints{which}")
    if found.images_without_file:
        print(f"warning: {found.images_without_file} of {images} images have no OpenPose file and count as images "
              "without detection", file=sys.stderr)  # fmt: skip
    if found.unmatched:
        named = ", ".join(found.unmatched[:NAMED]) + (", …" if len(found.unmatched) > NAMED else "")
        print(f"warning: ignored files that match no image ({len(found.unmatched)}): {named}", file=sys.stderr)
