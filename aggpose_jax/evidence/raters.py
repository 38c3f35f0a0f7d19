"""How far human raters are from one another: the yardstick for a network, and OKS constants of a keypoint set."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.errors import UserError
from aggpose_jax.evidence import intervals, summary
from aggpose_jax.evidence.intervals import Estimate
from aggpose_jax.evidence.persons import Persons
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import match_oks


class RaterAgreement(NamedTuple):
    """The agreement of R raters on one keypoint.

    Attributes:
      distance: median distance between two raters, over all pairs, in torso lengths, with its interval.
      sigma: the constant σ of OKS that the raters' spread implies; NaN if no person has the keypoint from two raters.
    """

    distance: Estimate
    sigma: float


def read_raters(
    files: Sequence[pathlib.Path], ground_truth: dict[str, Any], persons: Persons, keypoint_set: KeypointSet
) -> np.ndarray:
    """Returns the positions [R, P, K, 2] of the persons by each rater; NaN where a rater labelled nothing.

    The ground truth is the first rater, each file is another one. A person of a rater is the one of highest OKS in the
    same image.

    Args:
      files: COCO keypoint annotations of the same images, one file for each further rater.
      ground_truth: annotations of the first rater.
      persons: table of the P persons of the ground truth.
      keypoint_set: set of the K keypoints.

    Raises:
      UserError: a file is invalid, or has other images than the ground truth.
    """
    names = {image["id"]: image["file_name"] for image in ground_truth["images"]}
    matches = []
    for file in files:
        coco = read_annotations(file, keypoint_set.names)
        for image in coco["images"]:
            if pathlib.PurePath(names.get(image["id"], "")).name != pathlib.PurePath(image["file_name"]).name:
                raise UserError(f"{file}: image {image['id']} is {image['file_name']}, which is not that of the truth; "
                                "give annotations of the same images with the same ids")  # fmt: skip
        matches.append(match_oks(ground_truth, [_as_result(a) for a in coco["annotations"]], keypoint_set))
    truth = matches[0].truth
    first = np.where(truth[..., 2:] > 0, truth[..., :2], np.nan)
    labelled = np.stack([first, *(match.predicted[..., :2] for match in matches)])
    assert labelled.shape[1] == len(persons)
    return labelled


def _as_result(annotation: dict[str, Any]) -> dict[str, Any]:
    keypoints = np.reshape(np.array(annotation["keypoints"], np.float64), (-1, 3))
    keypoints[keypoints[:, 2] <= 0] = 0
    return {"image_id": annotation["image_id"], "keypoints": keypoints.ravel().tolist(), "score": 1.0}


def agreement(positions: np.ndarray, persons: Persons) -> dict[str, RaterAgreement]:
    """Returns the agreement of raters by keypoint.

    σ² is the mean over persons of d² / s², where d is the distance of a rater from the true position in both axes
    together, and s² the annotated area (COCO; OKS then uses k = 2σ). The true position is estimated by the raters'
    mean, so the sum of squares is divided by R − 1. The distance of two raters is on average √2 larger than d; it is
    what the error of a network against one rater should be compared with (Groos et al. 2022).

    Args:
      positions: [R, P, K, 2] in image pixels, NaN where unlabelled.
      persons: table of the P persons.
    """
    unit, result = summary.unit_index(persons), {}
    pairs = list(itertools.combinations(range(len(positions)), 2))
    for k, name in enumerate(persons.keypoints):
        points = positions[:, :, k]
        distances = np.array([np.linalg.norm(points[a] - points[b], axis=-1) / persons.torso for a, b in pairs])
        distance = intervals.percentile(distances.ravel(), np.tile(unit, len(pairs)), 50)
        result[name] = RaterAgreement(distance, _sigma(points, persons.area))
    return result


def _sigma(points: np.ndarray, area: np.ndarray) -> float:
    """Returns σ of positions [R, P, 2] of persons with areas [P]."""
    labelled = ~np.isnan(points).any(-1)
    count = labelled.sum(0)
    several = count >= 2
    if not several.any():
        return float("nan")
    filled = np.where(labelled[..., None], points, 0)[:, several]
    mean = filled.sum(0) / count[several, None]
    squares = (((filled - mean) ** 2).sum(-1) * labelled[:, several]).sum(0) / area[several]
    return float(np.sqrt(squares.sum() / (count[several] - 1).sum()))
