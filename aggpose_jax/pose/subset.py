"""Restricts ground truth, COCO results and keypoint sets to some of their keypoints, to compare networks on these."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet


def restrict(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], keypoint_set: KeypointSet, names: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]], KeypointSet]:
    """Returns ground truth, results and keypoint set with the keypoints of the given names only.

    Areas, boxes and the scores of the results stay. A person of whom no keypoint remains labelled stays too, but is not
    counted, as COCOeval does with unlabelled persons.

    Args:
      ground_truth: COCO dict, whose `categories` are left out.
      results: COCO results.
      keypoint_set: the set of the K keypoints of both.
      names: names of the keypoints that remain; those that are not in the set are ignored.
    """
    kept = [k for k, name in enumerate(keypoint_set.names) if name in names]
    annotations = [_restrict_annotation(annotation, kept) for annotation in ground_truth["annotations"]]
    truth = {"images": ground_truth["images"], "annotations": annotations}
    results = [{**result, "keypoints": _rows(result["keypoints"], kept)} for result in results]
    return truth, results, _restrict_set(keypoint_set, kept)


def _rows(keypoints: list[float], kept: list[int]) -> list[float]:
    """Returns the values of the kept keypoints, from the values of K keypoints, three each."""
    rows: list[float] = np.reshape(np.array(keypoints, np.float64), (-1, 3))[kept].ravel().tolist()
    return rows


def _restrict_annotation(annotation: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    keypoints = _rows(annotation["keypoints"], kept)
    count = {"num_keypoints": int(np.count_nonzero(keypoints[2::3]))} if "num_keypoints" in annotation else {}
    return {**annotation, "keypoints": keypoints, **count}


def _restrict_set(keypoint_set: KeypointSet, kept: list[int]) -> KeypointSet:
    index = {old: new for new, old in enumerate(kept)}

    def within(pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((index[a], index[b]) for a, b in pairs if a in index and b in index)

    return KeypointSet(
        name=f"{len(kept)} of {keypoint_set.name}",
        names=tuple(keypoint_set.names[k] for k in kept),
        flip_pairs=within(keypoint_set.flip_pairs),
        skeleton=within(keypoint_set.skeleton),
        sigmas=tuple(keypoint_set.sigmas[k] for k in kept),
        upper_body=tuple(index[k] for k in keypoint_set.upper_body if k in index),
    )
