"""How good poses are: object keypoint similarity (OKS), OKS-NMS, COCO AP and AR, PCK."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
COUNTED_SCORE = 0.2  # keypoints that score less do not speak for their person


def similarity(points: np.ndarray, others: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """How near points are to others, one by one: exp(-d² / (2 area (2σ)²)), as in COCOeval.

    Args:
      points, others: [..., K, 2+] x, y and more, in image pixels.
      area: [...] square pixels of the person.
      sigmas: [K] tolerances.

    Returns:
      [..., K] between 0 and 1. The mean over the labelled points is the OKS.
    """
    difference = np.asarray(points)[..., :2] - np.asarray(others)[..., :2]
    variance = (2 * np.asarray(sigmas)) ** 2 * (np.asarray(area)[..., None] + np.spacing(1))
    return np.exp(-(difference**2).sum(-1) / variance / 2)


def oks(pose: np.ndarray, others: np.ndarray, area: float, other_areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The OKS of one detected pose with others, over all K points and with the mean of both areas.

    Args:
      pose: [K, 3] x, y, score in image pixels.
      others: [N, K, 3].
      area, other_areas: square pixels of the pose, and [N] of the others.
      sigmas: [K] tolerances.

    Returns:
      [N] OKS.
    """
    return similarity(pose, others, (area + other_areas) / 2, sigmas).mean(-1)


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, threshold: float = 0.9
) -> np.ndarray:
    """Non-maximum suppression of the poses of one image: the best is kept, what resembles it goes, and so on.

    Args:
      keypoints: [N, K, 3] in image pixels.
      scores: [N] instance scores. Of equal scores the earlier comes first.
      areas: [N] square pixels.
      sigmas: [K] tolerances.
      threshold: poses with a greater OKS with a kept one are dropped.

    Returns:
      Indices of the kept poses, ascending.
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
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, threshold: float = 0.9
) -> np.ndarray:
    """Soft-NMS of the poses of one image (Bodla et al. 2017, the Gaussian form): no pose goes, its score falls.

    The best pose multiplies the score of every other by exp(-OKS² / threshold); of these the best does so next.

    Args:
      keypoints, scores, areas, sigmas: as for `oks_nms`.
      threshold: the smaller, the further scores fall.

    Returns:
      [N] scores.
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
    """[N] box score × mean of the keypoint scores [N, K] above 0.2; 0 where there is none."""
    keypoint_scores = np.asarray(keypoint_scores)
    counted = keypoint_scores > COUNTED_SCORE
    total = np.where(counted, keypoint_scores, 0).sum(-1)
    return np.asarray(box_scores) * total / np.maximum(counted.sum(-1), 1)


def coco_results(image_ids: Sequence[int], keypoints: np.ndarray, scores: np.ndarray) -> list[dict]:
    """COCO results, ready for json, of poses keypoints [N, K, 3] (x, y, score) with instance scores [N]."""
    return [
        {"image_id": int(image_id), "category_id": 1, "keypoints": pose.ravel().tolist(), "score": float(score)}
        for image_id, pose, score in zip(image_ids, np.asarray(keypoints, np.float64), scores, strict=True)
    ]


def coco_ap(
    ground_truth: dict, results: list[dict], keypoint_set: KeypointSet, max_detections: int = 20
) -> dict[str, float]:
    """The ten metrics of COCO's keypoint evaluation, by COCOeval with the sigmas of the set.

    Args:
      ground_truth: COCO dict; annotations need image_id, keypoints, bbox and area. All of them are taken as persons.
      results: COCO results (see coco_results) on images of the ground truth; may be empty.
      keypoint_set: whose sigmas are used.
      max_detections: the best so many of an image are counted.

    Returns:
      METRICS by name; -1 where the ground truth has no person of that size, as COCOeval says it.
    """
    from pycocotools.cocoeval import COCOeval  # prediction starts without it

    images = ground_truth["images"]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(images, [_counted(a, number) for number, a in enumerate(ground_truth["annotations"], 1)])
        detected = truth.loadRes([dict(result) for result in results]) if results else _coco(images, [])
        evaluation = COCOeval(truth, detected, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(keypoint_set.sigmas)
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return _metrics(evaluation.eval["precision"][:, :, 0, :, 0], evaluation.eval["recall"][:, 0, :, 0])


def _coco(images: list[dict], annotations: list[dict]):
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    coco.createIndex()
    return coco


def _counted(annotation: dict, number: int) -> dict:
    # COCOeval takes a match with annotation 0 for none, reads iscrowd, and changes what it is given.
    visible = np.count_nonzero(annotation["keypoints"][2::3])
    return {"iscrowd": 0, **annotation, "id": number, "category_id": 1, "num_keypoints": visible}


def _metrics(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    """The metrics of precision [T, R, A] and recall [T, A]; T is OKS .50, .55 … .95, A is all, medium, large."""

    def mean(values: np.ndarray) -> float:
        valid = values[values > -1]
        return float(valid.mean()) if valid.size else -1.0

    def five(values: np.ndarray) -> list[float]:
        parts = (values[..., 0], values[0, ..., 0], values[5, ..., 0], values[..., 1], values[..., 2])
        return [mean(part) for part in parts]

    return dict(zip(METRICS, five(precision) + five(recall), strict=True))


class Matches(NamedTuple):
    """Every labelled person of a ground truth and the detection of its image that is most like it.

    Attributes:
      ids, image_ids: [G] of annotations and their images.
      truth: [G, K, 3] x, y, visibility.
      predicted: [G, K, 3] x, y, score; nan where the image has no detection.
      area: [G] square pixels.
      oks: [G]; 0 where the image has no detection.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    area: np.ndarray
    oks: np.ndarray


def match_oks(ground_truth: dict, results: list[dict], keypoint_set: KeypointSet) -> Matches:
    """Gives every labelled person the detection of highest OKS in its image; one detection may serve several.

    Args:
      ground_truth: COCO dict; crowds and persons without a labelled point are left out.
      results: COCO results.
      keypoint_set: of K points.
    """
    count = len(keypoint_set)
    detected = defaultdict(list)
    for result in results:
        detected[result["image_id"]].append(np.reshape(result["keypoints"], (count, 3)))
    persons = [a for a in ground_truth["annotations"] if not a.get("iscrowd") and any(a["keypoints"][2::3])]
    truth = np.reshape([a["keypoints"] for a in persons], (-1, count, 3)).astype(np.float64)
    area = np.array([a["area"] for a in persons], np.float64)
    predicted, best = np.full(truth.shape, np.nan), np.zeros(len(persons))
    for i, annotation in enumerate(persons):
        poses = np.array(detected.get(annotation["image_id"], []))
        if len(poses):
            labelled = truth[i, :, 2] > 0
            similar = similarity(poses, truth[i], area[i], keypoint_set.sigmas)[:, labelled].mean(-1)
            predicted[i], best[i] = poses[similar.argmax()], similar.max()
    ids, image_ids = (np.array([a[key] for a in persons], np.int64) for key in ("id", "image_id"))
    return Matches(ids, image_ids, truth, predicted, area, best)


def keypoint_oks(matches: Matches, keypoint_set: KeypointSet) -> np.ndarray:
    """[K] mean similarity of each keypoint where it is labelled (0 without a detection); nan if it never is."""
    similar = np.nan_to_num(similarity(matches.predicted, matches.truth, matches.area, keypoint_set.sigmas))
    return _share(similar, matches.truth[..., 2] > 0)


def oks_percentiles(values: np.ndarray, percents: Sequence[float] = (5, 25, 50, 75, 95)) -> dict[str, float]:
    """Percentiles of OKS values [G], named OKS_p5 and so on; nan without any value."""
    values = np.percentile(values, percents) if len(values) else np.full(len(percents), np.nan)
    return {f"OKS_p{percent:g}": float(value) for percent, value in zip(percents, values, strict=True)}


def torso_length(keypoints: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """[N] pixels from mid-shoulders to mid-hips of keypoints [N, K, 3]; nan if one of the four lacks a label."""
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    keypoints = np.asarray(keypoints, np.float64)
    if not set(names) <= set(keypoint_set.names):
        return np.full(len(keypoints), np.nan)
    corners = keypoints[:, [keypoint_set.names.index(name) for name in names]]
    axis = corners[:, :2, :2].mean(1) - corners[:, 2:, :2].mean(1)
    return np.where((corners[..., 2] > 0).all(1), np.linalg.norm(axis, axis=-1), np.nan)


def pck(predicted: np.ndarray, truth: np.ndarray, torso: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
    """The percentage of correct keypoints: the share of labelled points within threshold × torso of the truth.

    Args:
      predicted: [N, K, 2+]; nan is never correct.
      truth: [N, K, 3] x, y, visibility.
      torso: [N] pixels; persons with nan are left out.
      threshold: share of the torso, e.g. 0.1 or 0.2.

    Returns:
      [K] share of each keypoint and the share of all points, between 0 and 1; nan where nothing is labelled.
    """
    truth, torso = np.asarray(truth), np.asarray(torso)[:, None]
    distance = np.linalg.norm(np.asarray(predicted)[..., :2] - truth[..., :2], axis=-1)
    labelled = (truth[..., 2] > 0) & ~np.isnan(torso)
    correct = distance <= threshold * torso
    return _share(correct, labelled), float(_share(correct.ravel(), labelled.ravel()))


def _share(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The mean over the first axis of the counted values; nan where none is counted."""
    number = counted.sum(0)
    return np.where(number > 0, np.where(counted, values, 0).sum(0) / np.maximum(number, 1), np.nan)
