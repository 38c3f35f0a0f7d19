"""Chooses frames of videos that are worth labelling, from the keypoints that a network found in them.

Each frame gets an expected error: 1 − the mean score of its keypoints, plus the largest jump of a keypoint, plus the
largest exchange of left and right. Jumps and exchanges are in torso lengths and count at most 1 each. The frames with
the largest errors are chosen, first one of each group of similar poses (k-means), and never near copies.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import MIN_KEYPOINT_SCORE, torso_length

NO_POSE = "no pose"
LOW_SCORE = 0.5  # a frame with a lower mean score has the reason "low score"
JUMP, EXCHANGE = 0.5, 0.25  # torso lengths from which a frame has the reason "jump" or "left-right swap"
NEAR = 0.05  # torso lengths; poses of a video that differ by less, on average over the keypoints, are near copies
POOL = 10  # candidates of a video for each frame that may be chosen of it
GROUPS = 3  # groups of similar poses for each frame that is chosen; fewer would mix uncertain and ordinary frames
SEED = 0
ROUNDS = 20  # of k-means


class Series(NamedTuple):
    """The keypoints of one person in the T frames of a video, or of T images without an order in time.

    Attributes:
      video: name of the video.
      keypoints: [T, K, 3] x, y in pixels and score; NaN in a frame without a pose.
      rows: [T] index of each frame in the results of the video.
      is_video: the frames follow each other.
    """

    video: str
    keypoints: np.ndarray
    rows: np.ndarray
    is_video: bool = True


class Candidate(NamedTuple):
    """A frame worth labelling: the index of its series, its index in it, its expected error, and the reasons."""

    series: int
    row: int
    error: float
    reasons: tuple[str, ...]


def choose(
    series: Sequence[Series], keypoint_set: KeypointSet, count: int, per_video: int | None = None
) -> list[Candidate]:
    """Chooses up to `count` frames, the largest expected error first. The result is the same in every call.

    Args:
      series: the persons of videos, and images. Those of one video have the same frames.
      keypoint_set: names of the K keypoints.
      count: number of frames. There are fewer if too few frames differ.
      per_video: most frames of a video; None is max(1, 2 · (count // number of videos)). Images have no such limit.
    """
    limit = per_video or max(1, 2 * (count // max(1, len({one.video for one in series}))))
    candidates, poses = [], []
    for number, one in enumerate(series):
        found = assess(number, one, keypoint_set)
        size = POOL * limit if one.is_video else len(found)
        pool = sorted(found, key=lambda candidate: -candidate.error)[:size]
        normalised = normalise(one.keypoints, keypoint_set)
        candidates += pool
        poses += [normalised[candidate.row] for candidate in pool]
    if not candidates:
        return []
    features = np.array(poses)
    groups = k_means(features.reshape(len(features), -1), GROUPS * count).tolist()
    # Frames without a pose are a group in each video.
    groups = [-1 - c.series if NO_POSE in c.reasons else group for c, group in zip(candidates, groups, strict=True)]
    order = sorted(
        range(len(candidates)), key=lambda i: (-candidates[i].error, candidates[i].series, candidates[i].row)
    )
    chosen: list[int] = []
    for only_new_groups in (True, False):  # The second time fills up with further frames of the same groups.
        for i in order:
            one = series[candidates[i].series]
            of_video = [j for j in chosen if series[candidates[j].series].video == one.video]
            is_chosen = any(candidates[j].row == candidates[i].row for j in of_video)
            if len(chosen) == count or is_chosen or (one.is_video and len(of_video) >= limit):
                continue
            if only_new_groups and groups[i] in {groups[j] for j in chosen}:
                continue
            if all(_distance(features[i], features[j]) >= NEAR for j in of_video):
                chosen.append(i)
    return sorted((candidates[i] for i in chosen), key=lambda candidate: -candidate.error)


def assess(number: int, series: Series, keypoint_set: KeypointSet) -> list[Candidate]:
    """Returns a candidate for each of the T frames of a series, whose index is `number`."""
    keypoints = series.keypoints
    is_found = ~np.isnan(keypoints).any((1, 2))
    scores = np.where(is_found, np.clip(np.nan_to_num(keypoints[..., 2]), 0, 1).mean(-1), 0)
    jump = exchange = np.zeros(len(keypoints))
    if series.is_video:
        jump, exchange = jumps(keypoints, keypoint_set)
    candidates = []
    for row in range(len(keypoints)):
        reasons = [
            NO_POSE if not is_found[row] else "low score" if scores[row] < LOW_SCORE else "",
            "jump" if jump[row] >= JUMP else "",
            "left-right swap" if exchange[row] >= EXCHANGE else "",
        ]
        error = 1 - scores[row] + min(jump[row], 1) + min(exchange[row], 1)
        named = tuple(reason for reason in reasons if reason) or ("variety",)
        candidates.append(Candidate(number, row, round(float(error), 4), named))
    return candidates


def jumps(keypoints: np.ndarray, keypoint_set: KeypointSet) -> tuple[np.ndarray, np.ndarray]:
    """Returns [T] the largest jump of a keypoint and the largest left–right exchange, in torso lengths.

    A keypoint jumps by its distance to the nearer of its positions in the two frames before, so that a frame after an
    outlier is not one. Left and right are exchanged where that would more than halve the distance of a pair to those
    frames; the exchange is what is saved. Keypoints that score MIN_KEYPOINT_SCORE or less in either frame are ignored.

    Args:
      keypoints: [T, K, 3] x, y and score; NaN in a frame without a pose.
      keypoint_set: names of the K keypoints.
    """
    certain = keypoints[..., 2] > MIN_KEYPOINT_SCORE
    points = np.where(certain[..., None], keypoints[..., :2], np.nan) / scale(keypoints, keypoint_set)
    flipped = points[:, keypoint_set.flip_permutation]
    is_paired = keypoint_set.flip_permutation != np.arange(len(keypoint_set))
    moved, crossed = _nearest(points, points), _nearest(points, flipped)
    pair = moved + moved[:, keypoint_set.flip_permutation]
    crossed_pair = crossed + crossed[:, keypoint_set.flip_permutation]
    is_exchanged = is_paired & (crossed_pair < pair / 2)
    saved = np.where(is_exchanged, pair - crossed_pair, 0)
    moved = np.where(is_exchanged, crossed, moved)  # what the exchange does not explain
    return np.nan_to_num(moved).max(1, initial=0), np.nan_to_num(saved).max(1, initial=0)


def _nearest(points: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Returns [T, K] the smaller distance of points [T, K, 2] to those of the two frames before; NaN without one."""
    distance = np.full((2, *points.shape[:2]), np.nan)
    for lag in (1, 2):
        distance[lag - 1, lag:] = np.linalg.norm(points[lag:] - before[: len(points) - lag], axis=-1)
    return np.fmin(*distance)


def scale(keypoints: np.ndarray, keypoint_set: KeypointSet) -> float:
    """Returns the median torso length of a series in pixels; without a torso, half the median diagonal of the poses."""
    certain = keypoints.copy()
    certain[..., 2] = keypoints[..., 2] > MIN_KEYPOINT_SCORE
    lengths = torso_length(np.nan_to_num(certain), keypoint_set)
    if np.isnan(lengths).all():
        points = np.where(certain[..., 2:] > 0, keypoints[..., :2], np.nan)
        corners = np.fmax.reduce(points, 1) - np.fmin.reduce(points, 1)
        lengths = np.linalg.norm(corners, axis=-1) / 2
    usable = lengths[~np.isnan(lengths) & (lengths > 0)]
    return float(np.median(usable)) if len(usable) else 1.0


def normalise(keypoints: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns poses [T, K, 2] around their mean in torso lengths; keypoints that are missing or uncertain are there."""
    certain = keypoints[..., 2:] > MIN_KEYPOINT_SCORE
    points = np.where(certain, keypoints[..., :2], 0)
    center = points.sum(1, keepdims=True) / np.maximum(certain.sum(1, keepdims=True), 1)
    result: np.ndarray = np.where(certain, points - center, 0) / scale(keypoints, keypoint_set)
    return result


def k_means(features: np.ndarray, count: int, seed: int = SEED) -> np.ndarray:
    """Returns [N] the group of each of N vectors [N, D], by k-means from the starting points of k-means++.

    Args:
      features: N vectors.
      count: number of groups; vectors that are equal share one, so there may be fewer.
      seed: seed of the starting points.
    """
    rng = np.random.default_rng(seed)
    centers = features[[rng.integers(len(features))]]
    nearest = ((features - centers[0]) ** 2).sum(-1)
    while len(centers) < count and nearest.sum() > 0:
        centers = np.append(centers, features[[rng.choice(len(features), p=nearest / nearest.sum())]], axis=0)
        nearest = np.minimum(nearest, ((features - centers[-1]) ** 2).sum(-1))
    for _ in range(ROUNDS):
        group = np.argmin([((features - center) ** 2).sum(-1) for center in centers], axis=0)
        centers = np.array(
            [features[group == k].mean(0) if (group == k).any() else centers[k] for k in range(len(centers))]
        )
    return group


def _distance(pose: np.ndarray, other: np.ndarray) -> float:
    """Returns the mean distance of the keypoints [K, 2] of two poses."""
    return float(np.linalg.norm(pose - other, axis=-1).mean()) if pose.size else math.inf
