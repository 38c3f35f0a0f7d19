"""A split → results in COCO format → AP, AR, PCK and what stands behind them."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from aggpose_jax.pose import metrics
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import Matches

PCK_THRESHOLDS = (0.1, 0.2)  # shares of the torso


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a network does on a split.

    Attributes:
      metrics: the ten metrics of COCO, OKS percentiles, and PCK by share of the torso.
      keypoints: by name of a keypoint, its mean OKS and its PCK.
      results: in COCO format, one for each pose.
      matches: every labelled person and the pose most like it.
    """

    metrics: dict[str, float]
    keypoints: dict[str, dict[str, float]]
    results: list[dict]
    matches: Matches


def evaluate(
    estimate: Callable[[dict], np.ndarray],
    batches: Iterable[dict],
    ground_truth: dict,
    keypoint_set: KeypointSet,
    nms_threshold: float | None,
    soft_nms: bool = False,
    join: Callable[[dict], dict] = lambda shares: shares,
) -> Evaluation:
    """Estimates every crop and scores the poses.

    Args:
      estimate: batch → keypoints [B, K, 3], x and y in image pixels and the score.
      batches: of `pipeline.evaluation_batches`.
      ground_truth: in COCO format, of the whole split.
      keypoint_set: of K keypoints.
      nms_threshold: of OKS-NMS among the poses of an image; None leaves all.
      soft_nms: lower the scores of poses that resemble better ones, instead of leaving the poses out.
      join: puts the shares [n, b, ...] of batches together where several processes have a share each.
    """
    poses = _collect(estimate, batches, join)
    if nms_threshold is not None:
        poses = (_rescore if soft_nms else _suppress)(poses, keypoint_set, nms_threshold)
    results = metrics.coco_results(poses["image_id"], poses["keypoints"], poses["score"])
    return score(results, ground_truth, keypoint_set)


def score(results: list[dict], ground_truth: dict, keypoint_set: KeypointSet) -> Evaluation:
    """Scores results in COCO format, wherever they come from."""
    matches = metrics.match_oks(ground_truth, results, keypoint_set)
    torso = metrics.torso_length(matches.truth, keypoint_set)
    scores = metrics.coco_ap(ground_truth, results, keypoint_set) | metrics.oks_percentiles(matches.oks)
    by_keypoint = {"OKS": metrics.keypoint_oks(matches, keypoint_set)}
    for threshold in PCK_THRESHOLDS:
        each, scores[f"PCK@{threshold}"] = metrics.pck(matches.predicted, matches.truth, torso, threshold)
        by_keypoint[f"PCK@{threshold}"] = each
    keypoints = {
        name: {figure: float(values[k]) for figure, values in by_keypoint.items()}
        for k, name in enumerate(keypoint_set.names)
    }
    return Evaluation(scores, keypoints, results, matches)


def _collect(estimate, batches, join) -> dict[str, np.ndarray]:
    """Poses of all valid crops, with their instance scores."""
    collected = []
    for batch in batches:
        pose = {name: batch[name] for name in ("image_id", "crop_area", "score", "valid")}
        collected.append(pose | {"keypoints": np.asarray(estimate(batch))})
    whole = join({name: np.stack([c[name] for c in collected]) for name in collected[0]})
    poses = {name: values[whole["valid"] > 0] for name, values in whole.items()}
    poses["score"] = metrics.instance_scores(poses["keypoints"][..., 2], poses["score"])
    return poses


def _suppress(poses, keypoint_set, threshold) -> dict[str, np.ndarray]:
    """The poses that OKS-NMS keeps, image by image."""
    kept = [rows[metrics.oks_nms(*image, keypoint_set.sigmas, threshold)] for rows, image in _images(poses)]
    rows = np.sort(np.concatenate(kept))
    return {name: values[rows] for name, values in poses.items()}


def _rescore(poses, keypoint_set, threshold) -> dict[str, np.ndarray]:
    """All poses with the scores of soft OKS-NMS, image by image."""
    score = np.zeros_like(poses["score"])
    for rows, image in _images(poses):
        score[rows] = metrics.soft_oks_nms(*image, keypoint_set.sigmas, threshold)
    return poses | {"score": score}


def _images(poses) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """The rows of each image, and what non-maximum suppression takes of them."""
    for image_id in np.unique(poses["image_id"]):
        rows = np.flatnonzero(poses["image_id"] == image_id)
        yield rows, [poses[name][rows] for name in ("keypoints", "score", "crop_area")]


def mean_pose_results(train: dict, test: dict) -> list[dict]:
    """The mean pose of the training persons, in units of their boxes, placed in each box of the test persons.

    Args:
      train, test: ground truths in COCO format.
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
