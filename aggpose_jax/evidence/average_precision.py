"""COCO's AP and AR from stored matches: without one infant, or with the results of infants exchanged between systems.

COCOeval matches every image once. The matches of an image depend on no other image, so only the accumulation is
repeated; it equals that of pycocotools.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aggpose_jax.pose import metrics
from aggpose_jax.pose.keypoints import KeypointSet

RECALLS = np.linspace(0.0, 1.0, 101)  # COCOeval's recall thresholds


@dataclasses.dataclass(frozen=True)
class ImageMatches:
    """The matches of D detections with annotated persons, in the order in which COCOeval accumulates them.

    Attributes:
      order: [D, 3] minus the score, index of the image, and rank in the image, in ascending lexical order.
      unit: [D] index of the infant (or video) of each detection.
      matched, ignored: [A, T, D] bool, for A area ranges (all, medium, large) and T OKS thresholds: whether the
        detection is matched with a person, and whether it does not count.
      persons: [A, U] number of persons of each of U infants that count.
    """

    order: np.ndarray
    unit: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    persons: np.ndarray


def match(
    ground_truth: dict[str, Any],
    results: list[dict[str, Any]],
    keypoint_set: KeypointSet,
    unit_of_image: Mapping[int, int],
    units: int,
) -> ImageMatches:
    """Matches COCO results with a ground truth by COCOeval.

    Args:
      ground_truth, results, keypoint_set: as for `metrics.coco_ap`.
      unit_of_image: index of the infant of every image id.
      units: number of infants.
    """
    evaluation = metrics.coco_evaluation(ground_truth, results, keypoint_set)
    images, areas = evaluation.params.imgIds, len(evaluation.params.areaRng)
    thresholds = len(evaluation.params.iouThrs)
    persons = np.zeros((areas, units), np.int64)
    order, unit, matched, ignored = [], [], [], []
    for index, image_id in enumerate(images):
        entries = [evaluation.evalImgs[area * len(images) + index] for area in range(areas)]
        if entries[0] is None:  # neither persons nor detections
            continue
        u = unit_of_image[int(image_id)]
        persons[:, u] += [np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0) for entry in entries]
        scores = np.asarray(entries[0]["dtScores"], np.float64)
        order.append(np.column_stack([-scores, np.full(len(scores), index), np.arange(len(scores))]))
        unit.append(np.full(len(scores), u))
        shape = (areas, thresholds, len(scores))
        matched.append(np.reshape([entry["dtMatches"] for entry in entries], shape) > 0)
        ignored.append(np.reshape([entry["dtIgnore"] for entry in entries], shape) > 0)
    if not order:
        nothing = np.zeros((areas, thresholds, 0), bool)
        return ImageMatches(np.zeros((0, 3)), np.zeros(0, np.int64), nothing, nothing, persons)
    return _sorted(
        np.concatenate(order), np.concatenate(unit), np.concatenate(matched, -1), np.concatenate(ignored, -1), persons
    )


def _sorted(
    order: np.ndarray, unit: np.ndarray, matched: np.ndarray, ignored: np.ndarray, persons: np.ndarray
) -> ImageMatches:
    rows = np.lexsort(order.T[::-1])
    return ImageMatches(order[rows], unit[rows], matched[..., rows], ignored[..., rows], persons)


def join(a: ImageMatches, b: ImageMatches) -> ImageMatches:
    """Returns the matches of two systems on the same U infants as those of 2U infants: first those of a, then of b."""
    return _sorted(
        np.concatenate([a.order, b.order]),
        np.concatenate([a.unit, b.unit + a.persons.shape[1]]),
        np.concatenate([a.matched, b.matched], -1),
        np.concatenate([a.ignored, b.ignored], -1),
        np.concatenate([a.persons, b.persons], 1),
    )


def accumulate(matches: ImageMatches, included: np.ndarray, areas: int = 3) -> dict[str, float]:
    """Returns COCO's ten metrics on the included infants, as `metrics.coco_ap` does.

    Args:
      matches: matches of all infants.
      included: [U] bool.
      areas: number of area ranges; the metrics of those left out are -1.
    """
    chosen = included[matches.unit]
    thresholds = matches.matched.shape[1]
    precision = np.full((thresholds, len(RECALLS), matches.matched.shape[0]), -1.0)
    recall = np.full((thresholds, matches.matched.shape[0]), -1.0)
    for area in range(areas):
        persons = int(matches.persons[area, included].sum())
        if persons:
            counted = ~matches.ignored[area][:, chosen]
            is_true = matches.matched[area][:, chosen] & counted
            precision[:, :, area], recall[:, area] = _curves(is_true, counted & ~is_true, persons)
    return metrics.summarise(precision, recall)


def _curves(is_true: np.ndarray, is_false: np.ndarray, persons: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the precision [T, R] at RECALLS and the final recall [T] of detections [T, D] in descending order."""
    precision = np.zeros((len(is_true), len(RECALLS)))
    if not is_true.shape[1]:
        return precision, np.zeros(len(is_true))
    true, false = np.cumsum(is_true, 1).astype(np.float64), np.cumsum(is_false, 1).astype(np.float64)
    recall = true / persons
    exact = true / (false + true + np.spacing(1))
    envelope = np.maximum.accumulate(exact[:, ::-1], 1)[:, ::-1]
    for t in range(len(is_true)):
        first = np.searchsorted(recall[t], RECALLS, side="left")
        reached = first < recall.shape[1]
        precision[t, reached] = envelope[t, first[reached]]
    return precision, recall[:, -1]


def by_infant(matches: ImageMatches, areas: int = 3) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns each metric without each infant, and of each infant alone, as [U] by name; NaN where COCOeval has -1."""
    units = matches.persons.shape[1]
    alone = np.eye(units, dtype=bool)
    return _stacked(matches, ~alone, areas), _stacked(matches, alone, areas)


def _stacked(matches: ImageMatches, included: Sequence[np.ndarray] | np.ndarray, areas: int) -> dict[str, np.ndarray]:
    rows = [accumulate(matches, each, areas) for each in included]
    columns = {name: np.array([row[name] for row in rows]) for name in metrics.METRICS}
    return {name: np.where(values < 0, np.nan, values) for name, values in columns.items()}
