"""Metrics of poses: object keypoint similarity (OKS), OKS-NMS, COCO AP and AR, and PCK."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aggpose_jax.pose.keypoints import KeypointSet

if TYPE_CHECKING:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
MIN_KEYPOINT_SCORE = 0.2  # keypoints scoring this or less are excluded from the instance score


def similarity(points: np.ndarray, others: np.ndarray, area: ArrayLike, sigmas: ArrayLike) -> np.ndarray:
    """Returns the similarity of each point to its counterpart: exp(-d² / (2 area (2σ)²)), as in COCOeval.

    Args:
      points, others: [..., K, 2+] x, y in image pixels; further columns are ignored.
      area: [...] area of the person in square pixels.
      sigmas: [K] per-keypoint constants of OKS.

    Returns:
      [..., K] similarities between 0 and 1. Their mean over the labelled points is the OKS.
    """
    difference = np.asarray(points)[..., :2] - np.asarray(others)[..., :2]
    variance = (2 * np.asarray(sigmas)) ** 2 * (np.asarray(area)[..., None] + np.spacing(1))
    similar: np.ndarray = np.exp(-(difference**2).sum(-1) / variance / 2)
    return similar


def oks(pose: np.ndarray, others: np.ndarray, area: float, other_areas: np.ndarray, sigmas: ArrayLike) -> np.ndarray:
    """Returns the OKS of one detected pose with others, over all K points and with the mean of both areas.

    Args:
      pose: [K, 3] x, y, score in image pixels.
      others: [N, K, 3] the same for N other poses.
      area, other_areas: area of the pose, and [N] areas of the other poses, in square pixels.
      sigmas: [K] per-keypoint constants of OKS.

    Returns:
      [N] OKS with each of the other poses.
    """
    mean: np.ndarray = similarity(pose, others, (area + other_areas) / 2, sigmas).mean(-1)
    return mean


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: ArrayLike, threshold: float = 0.9
) -> np.ndarray:
    """Applies non-maximum suppression to the poses of one image.

    Repeatedly, the pose with the highest score is kept and the remaining poses that are similar to it are removed.

    Args:
      keypoints: [N, K, 3] in image pixels.
      scores: [N] instance scores. Among equal scores, the pose with the lower index comes first.
      areas: [N] areas in square pixels.
      sigmas: [K] per-keypoint constants of OKS.
      threshold: poses whose OKS with a kept pose is greater than this are removed.

    Returns:
      Indices of the kept poses, in ascending order.
    """
    keypoints, areas = np.asarray(keypoints), np.asarray(areas)
    rest = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[oks(keypoints[best], keypoints[rest], areas[best], areas[rest], sigmas) <= threshold]
    return np.sort(np.array(kept, np.int64))


def soft_oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: ArrayLike, threshold: float = 0.9
) -> np.ndarray:
    """Applies Gaussian soft-NMS (Bodla et al. 2017) to the poses of one image: it lowers scores and removes no pose.

    Repeatedly, the pose with the highest score is taken out, and the scores of the remaining poses are multiplied by
    exp(-OKS² / threshold).

    Args:
      keypoints, scores, areas, sigmas: as for `oks_nms`.
      threshold: a smaller threshold lowers the scores more.

    Returns:
      [N] lowered scores.
    """
    keypoints, areas, scores = np.asarray(keypoints), np.asarray(areas), np.array(scores, np.float64)
    rest = np.arange(len(scores))
    while rest.size:
        best = rest[scores[rest].argmax()]
        rest = rest[rest != best]
        similar = oks(keypoints[best], keypoints[rest], areas[best], areas[rest], sigmas)
        scores[rest] *= np.exp(-(similar**2) / threshold)
    return scores


def instance_scores(keypoint_scores: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """Returns [N] box score × mean of the keypoint scores [N, K] above 0.2; 0 where no keypoint score is above 0.2."""
    keypoint_scores = np.asarray(keypoint_scores)
    is_counted = keypoint_scores > MIN_KEYPOINT_SCORE
    total = np.where(is_counted, keypoint_scores, 0).sum(-1)
    scores: np.ndarray = np.asarray(box_scores) * total / np.maximum(is_counted.sum(-1), 1)
    return scores


def coco_results(
    image_ids: np.ndarray | Sequence[int], keypoints: np.ndarray, scores: np.ndarray
) -> list[dict[str, Any]]:
    """Returns JSON-serialisable COCO results of poses: keypoints [N, K, 3] (x, y, score) and instance scores [N]."""
    return [
        {"image_id": int(image_id), "category_id": 1, "keypoints": pose.ravel().tolist(), "score": float(score)}
        for image_id, pose, score in zip(image_ids, np.asarray(keypoints, np.float64), scores, strict=True)
    ]


def coco_ap(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], keypoint_set: KeypointSet, max_detections: int = 20
) -> dict[str, float]:
    """Computes the ten metrics of the COCO keypoint evaluation with COCOeval and the sigmas of the set.

    Args:
      ground_truth: COCO dict; annotations need image_id, keypoints, bbox and area. All are evaluated as persons.
      results: COCO results (see `coco_results`) for images of the ground truth; may be empty.
      keypoint_set: keypoint set with the sigmas to use.
      max_detections: number of detections per image, those with the highest scores, that are evaluated.

    Returns:
      Values of METRICS by name; -1 where the ground truth has no person of that size, as in COCOeval.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = coco_evaluation(ground_truth, results, keypoint_set, max_detections)
        evaluation.accumulate()
    return summarise(evaluation.eval["precision"][:, :, 0, :, 0], evaluation.eval["recall"][:, 0, :, 0])


def coco_evaluation(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], keypoint_set: KeypointSet, max_detections: int = 20
) -> "COCOeval":
    """Returns the COCOeval that has matched the results with the ground truth; the arguments are those of `coco_ap`."""
    from pycocotools.cocoeval import COCOeval  # imported here, because prediction does not need it

    images = ground_truth["images"]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(images, [_evaluated_annotation(a, i) for i, a in enumerate(ground_truth["annotations"], 1)])
        detected = truth.loadRes([dict(result) for result in results]) if results else _coco(images, [])
        evaluation = COCOeval(truth, detected, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
    return evaluation


def _coco(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> "COCO":
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    coco.createIndex()
    return coco


def _evaluated_annotation(annotation: dict[str, Any], annotation_id: int) -> dict[str, Any]:
    """Returns a copy of a COCO annotation that COCOeval evaluates as a person; `annotation_id` is its new id."""
    # COCOeval treats annotation id 0 as unmatched, requires iscrowd, and modifies the annotations that it is given.
    labelled = np.count_nonzero(annotation["keypoints"][2::3])
    return {"iscrowd": 0, **annotation, "id": annotation_id, "category_id": 1, "num_keypoints": labelled}


def summarise(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """Returns the values of METRICS from COCOeval's precision [T, R, A] and recall [T, A], -1 where there are none.

    T are the OKS thresholds .50, .55 … .95, R the recall thresholds, and A the area ranges all, medium, large.
    """

    def mean(values: np.ndarray) -> float:
        valid = values[values > -1]
        return float(valid.mean()) if valid.size else -1.0

    def five_metrics(values: np.ndarray) -> list[float]:
        parts = (values[..., 0], values[0, ..., 0], values[5, ..., 0], values[..., 1], values[..., 2])
        return [mean(part) for part in parts]

    return dict(zip(METRICS, five_metrics(precision) + five_metrics(recall), strict=True))


class Matches(NamedTuple):
    """The G labelled persons of a ground truth, each with the detection of highest OKS in its image.

    Attributes:
      ids, image_ids: [G] ids of the annotations and of their images.
      truth: [G, K, 3] annotated x, y in image pixels and visibility.
      predicted: [G, K, 3] detected x, y in image pixels and score; NaN where the image has no detection, and for
        keypoints that are 0, 0, 0 in the detection, which means that they were not found.
      area: [G] annotated areas in square pixels.
      oks: [G] OKS of the detections; 0 where the image has no detection.
      score: [G] instance scores of the detections; NaN where the image has no detection.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    area: np.ndarray
    oks: np.ndarray
    score: np.ndarray


def match_oks(ground_truth: dict[str, Any], results: list[dict[str, Any]], keypoint_set: KeypointSet) -> Matches:
    """Matches every labelled person with the detection of highest OKS in its image.

    One detection may be matched with several persons.

    Args:
      ground_truth: COCO dict; crowds and persons without a labelled keypoint are ignored.
      results: COCO results (see `coco_results`).
      keypoint_set: the set of the K keypoints.
    """
    count = len(keypoint_set)
    detected, scores = defaultdict(list), defaultdict(list)
    for result in results:
        detected[result["image_id"]].append(np.reshape(result["keypoints"], (count, 3)))
        scores[result["image_id"]].append(result["score"])
    persons = [a for a in ground_truth["annotations"] if not a.get("iscrowd") and any(a["keypoints"][2::3])]
    truth = np.reshape([a["keypoints"] for a in persons], (-1, count, 3)).astype(np.float64)
    area = np.array([a["area"] for a in persons], np.float64)
    predicted, best, score = np.full(truth.shape, np.nan), np.zeros(len(persons)), np.full(len(persons), np.nan)
    for i, annotation in enumerate(persons):
        poses = np.array(detected.get(annotation["image_id"], []), np.float64)
        if len(poses):
            poses[~poses.any(-1)] = np.nan
            labelled = truth[i, :, 2] > 0
            each = np.nan_to_num(similarity(poses, truth[i], area[i], keypoint_set.sigmas))
            similar = each[:, labelled].mean(-1)
            predicted[i], best[i] = poses[similar.argmax()], similar.max()
            score[i] = scores[annotation["image_id"]][similar.argmax()]
    ids, image_ids = (np.array([a[key] for a in persons], np.int64) for key in ("id", "image_id"))
    return Matches(ids, image_ids, truth, predicted, area, best, score)


def keypoint_oks(matches: Matches, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns the [K] mean similarity of each keypoint over the persons for whom it is labelled.

    The similarity is 0 for persons without a detection. The mean is NaN for keypoints that are never labelled.
    """
    similar = np.nan_to_num(similarity(matches.predicted, matches.truth, matches.area, keypoint_set.sigmas))
    return _masked_mean(similar, matches.truth[..., 2] > 0)


def oks_percentiles(values: np.ndarray, percents: Sequence[float] = (5, 25, 50, 75, 95)) -> dict[str, float]:
    """Returns percentiles of OKS values [G], with the keys OKS_p5 and so on; NaN if there are no values."""
    values = np.percentile(values, percents) if len(values) else np.full(len(percents), np.nan)
    return {f"OKS_p{percent:g}": float(value) for percent, value in zip(percents, values, strict=True)}


def torso_length(keypoints: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns the [N] distances in pixels from mid-shoulders to mid-hips of keypoints [N, K, 3].

    A distance is NaN if one of the four keypoints is unlabelled or not in the set.
    """
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    keypoints = np.asarray(keypoints, np.float64)
    if not set(names) <= set(keypoint_set.names):
        return np.full(len(keypoints), np.nan)
    corners = keypoints[:, [keypoint_set.names.index(name) for name in names]]
    axis = corners[:, :2, :2].mean(1) - corners[:, 2:, :2].mean(1)
    return np.where((corners[..., 2] > 0).all(1), np.linalg.norm(axis, axis=-1), np.nan)


def pck(predicted: np.ndarray, truth: np.ndarray, torso: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
    """Computes the PCK: the fraction of labelled keypoints within threshold × torso length of the ground truth.

    Args:
      predicted: [N, K, 2+] x, y in image pixels; NaN is never correct.
      truth: [N, K, 3] x, y in image pixels and visibility.
      torso: [N] torso lengths in pixels; persons with NaN are ignored.
      threshold: fraction of the torso length, e.g. 0.1 or 0.2.

    Returns:
      The fraction of each keypoint [K] and the fraction of all keypoints, between 0 and 1; NaN where none is labelled.
    """
    truth, torso = np.asarray(truth), np.asarray(torso)[:, None]
    distance = np.linalg.norm(np.asarray(predicted)[..., :2] - truth[..., :2], axis=-1)
    labelled = (truth[..., 2] > 0) & ~np.isnan(torso)
    correct = distance <= threshold * torso
    return _masked_mean(correct, labelled), float(_masked_mean(correct.ravel(), labelled.ravel()))


def _masked_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of the values where the mask is true; NaN where it is true nowhere."""
    count = mask.sum(0)
    return np.where(count > 0, np.where(mask, values, 0).sum(0) / np.maximum(count, 1), np.nan)
