"""Evaluates a pose network on a split: COCO results, AP, AR, PCK, and the matches from which they are computed."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from aggpose_jax.pose import metrics
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import Matches
from aggpose_jax.pose.subset import restrict
from aggpose_jax.recordings.openpose_people import BODY_25

PCK_THRESHOLDS = (0.1, 0.2)  # distances within which PCK counts a keypoint as correct, as fractions of the torso length


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The evaluation of a network on a split.

    Attributes:
      metrics: values by name: COCO's ten metrics, OKS percentiles, and PCK at fractions of the torso length.
      keypoints: for each keypoint name, its mean OKS and its PCK.
      results: COCO results, one per pose.
      matches: every labelled person with the most similar predicted pose.
      ground_truth: COCO annotations of the complete split.
      keypoint_set: set of the keypoints.
      reoriented: number of images that were rotated by their EXIF orientation, as their annotations state.
      openpose: metrics on the keypoints that OpenPose has too; None if these are all or none, or were not computed.
    """

    metrics: dict[str, float]
    keypoints: dict[str, dict[str, float]]
    results: list[dict]
    matches: Matches
    ground_truth: dict
    keypoint_set: KeypointSet
    reoriented: int = 0
    openpose: "SharedKeypoints | None" = None


class SharedKeypoints(NamedTuple):
    """The evaluation of those keypoints of a set that another method has as well.

    Attributes:
      keypoints: names of these keypoints.
      metrics: as in `Evaluation`, from these keypoints of the ground truth and of the results.
    """

    keypoints: tuple[str, ...]
    metrics: dict[str, float]


def evaluate(
    estimate: Callable[[dict], np.ndarray],
    batches: Iterable[dict],
    ground_truth: dict,
    keypoint_set: KeypointSet,
    nms_threshold: float | None,
    soft_nms: bool = False,
    gather: Callable[[dict], dict] = lambda batches: batches,
) -> Evaluation:
    """Estimates the keypoints of every crop and computes the metrics.

    Args:
      estimate: function from a batch to keypoints [B, K, 3]: x and y in image pixels, and the score.
      batches: batches of crops from `pipeline.evaluation_batches`.
      ground_truth: COCO annotations of the complete split.
      keypoint_set: set of K keypoints.
      nms_threshold: OKS threshold of non-maximum suppression among the poses of an image; None keeps all poses.
      soft_nms: lower the scores of poses that are similar to better ones instead of removing these poses.
      gather: concatenates the arrays [n, b, ...] of n batches over all processes; needed where each process evaluates a
        part of the split.
    """
    poses = _collect(estimate, batches, gather)
    reoriented = len(np.unique(poses["image_id"][poses["reoriented"] > 0]))
    if nms_threshold is not None:
        poses = (_rescore if soft_nms else _suppress)(poses, keypoint_set, nms_threshold)
    results = metrics.coco_results(poses["image_id"], poses["keypoints"], poses["score"])
    return dataclasses.replace(score(results, ground_truth, keypoint_set), reoriented=reoriented)


def score(results: list[dict], ground_truth: dict, keypoint_set: KeypointSet) -> Evaluation:
    """Computes the metrics of COCO results, of this package or of any other source."""
    matches = metrics.match_oks(ground_truth, results, keypoint_set)
    torso = metrics.torso_length(matches.truth, keypoint_set)
    scores = metrics.coco_ap(ground_truth, results, keypoint_set) | metrics.oks_percentiles(matches.oks)
    by_keypoint = {"OKS": metrics.keypoint_oks(matches, keypoint_set)}
    for threshold in PCK_THRESHOLDS:
        each, scores[f"PCK@{threshold}"] = metrics.pck(matches.predicted, matches.truth, torso, threshold)
        by_keypoint[f"PCK@{threshold}"] = each
    keypoints = {
        name: {metric: float(values[k]) for metric, values in by_keypoint.items()}
        for k, name in enumerate(keypoint_set.names)
    }
    return Evaluation(scores, keypoints, results, matches, ground_truth, keypoint_set)


def with_openpose(evaluation: Evaluation, ground_truth: dict, keypoint_set: KeypointSet) -> Evaluation:
    """Returns an evaluation with the metrics on the keypoints of the set that are in OpenPose's BODY_25.

    They compare all methods alike. They are None if all keypoints of the set, or none, are in BODY_25.

    Args:
      evaluation: evaluation whose results are scored again.
      ground_truth: COCO annotations of the complete split.
      keypoint_set: keypoint set of the results.
    """
    names = tuple(name for name in keypoint_set.names if name in BODY_25)
    if len(names) in (0, len(keypoint_set)):
        return evaluation
    truth, results, subset = restrict(ground_truth, evaluation.results, keypoint_set, names)
    return dataclasses.replace(evaluation, openpose=SharedKeypoints(names, score(results, truth, subset).metrics))


def _collect(estimate, batches, gather) -> dict[str, np.ndarray]:
    """Returns the poses that `estimate` finds in all valid crops, as arrays by name, with their instance scores."""
    collected = []
    for batch in batches:
        pose = {name: batch[name] for name in ("image_id", "crop_area", "score", "reoriented", "valid")}
        collected.append(pose | {"keypoints": np.asarray(estimate(batch))})
    gathered = gather({name: np.stack([c[name] for c in collected]) for name in collected[0]})
    poses = {name: values[gathered["valid"] > 0] for name, values in gathered.items()}
    poses["score"] = metrics.instance_scores(poses["keypoints"][..., 2], poses["score"])
    return poses


def _suppress(poses: dict[str, np.ndarray], keypoint_set: KeypointSet, threshold: float) -> dict[str, np.ndarray]:
    """Returns the poses that remain after OKS-NMS, which removes those similar to a better one in the same image."""
    selected = [rows[metrics.oks_nms(*image, keypoint_set.sigmas, threshold)] for rows, image in _images(poses)]
    rows = np.sort(np.concatenate(selected))
    return {name: values[rows] for name, values in poses.items()}


def _rescore(poses: dict[str, np.ndarray], keypoint_set: KeypointSet, threshold: float) -> dict[str, np.ndarray]:
    """Returns all poses with new scores: soft OKS-NMS lowers those of poses similar to a better one in their image."""
    score = np.zeros_like(poses["score"])
    for rows, image in _images(poses):
        score[rows] = metrics.soft_oks_nms(*image, keypoint_set.sigmas, threshold)
    return poses | {"score": score}


def _images(poses: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Yields, for each image, the row indices of its poses and the inputs of NMS: keypoints, scores and areas."""
    for image_id in np.unique(poses["image_id"]):
        rows = np.flatnonzero(poses["image_id"] == image_id)
        yield rows, (poses["keypoints"][rows], poses["score"][rows], poses["crop_area"][rows])


def mean_pose_results(train: dict, test: dict) -> list[dict]:
    """Returns the COCO results of a baseline that places the mean training pose in the box of each test person.

    The mean is taken over keypoint positions relative to the box: 0 at its left or upper side, 1 at the opposite side.

    Args:
      train, test: COCO annotations.
    """
    keypoints = np.array([np.reshape(a["keypoints"], (-1, 3)) for a in train["annotations"]], np.float64)
    boxes = np.array([a["bbox"] for a in train["annotations"]], np.float64)[:, None]
    labelled = keypoints[..., 2:] > 0
    relative = (keypoints[..., :2] - boxes[..., :2]) / np.maximum(boxes[..., 2:], 1)
    mean = np.where(labelled, relative, 0).sum(0) / np.maximum(labelled.sum(0), 1)
    boxes = np.array([a["bbox"] for a in test["annotations"]], np.float64)[:, None]
    placed = boxes[..., :2] + mean * boxes[..., 2:]
    poses = np.concatenate([placed, np.ones((*placed.shape[:2], 1))], axis=-1)
    return metrics.coco_results([a["image_id"] for a in test["annotations"]], poses, np.ones(len(poses)))
