"""Finds several infants in an image, and tracks them through a video under numbers that stay the same.

Each infant has a tracker. A search looks for further infants in the image without those that are already found, whose
bodies are painted over, so that it cannot find one of them again.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from aggpose_jax.data.views import MIN_KEYPOINT_SCORE, View
from aggpose_jax.inference.tracking import (
    SCALES,
    SMALL_SEARCH_INTERVAL,
    Detection,
    Estimate,
    Tracker,
    find_infant,
)
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.metrics import oks

MAX_PERSONS = 6
MARGIN = 0.1  # a body reaches this far beyond its keypoints, as a fraction of their extent
# A pose of which a larger fraction lies on another infant is a second pose of that infant.
MAX_COVERED = 0.5
SAME_OKS = 0.5  # two trackers follow the same infant if their poses are more similar than this
SEARCH_INTERVAL = 10  # frames between two searches for a missing infant while another one is tracked
# An infant who is found farther than this from where a missing one was last seen, in extents of the body, is a new one
# if there is a number left.
NEW_DISTANCE = 1.0


def find_infants(
    image: np.ndarray,
    estimate: Estimate,
    keypoint_set: KeypointSet,
    aspect: float,
    count: int,
    known: Sequence[np.ndarray] = (),
    scales: Sequence = SCALES,
) -> list[Detection]:
    """Searches for up to `count` infants, besides those whose keypoints [K, 3] are known; returns them left to right.

    Args:
      image, estimate, keypoint_set, aspect, scales: see `tracking.find_infant`.
      count: the largest number of infants that are returned.
      known: keypoints of the other infants in the image.
    """
    found: list[Detection] = []
    while len(found) < count:
        covered = _bodies(image.shape[:2], [*known, *(one.keypoints for one in found)])
        detection = find_infant(_without(image, covered), estimate, keypoint_set, aspect, scales)
        if detection is None or _covered_fraction(detection.keypoints, covered) > MAX_COVERED:
            break
        found.append(detection)
    return sorted(found, key=lambda one: _centre(one.keypoints)[0])


def has_second_infant(
    image: np.ndarray, estimate: Estimate, keypoint_set: KeypointSet, aspect: float, pose: np.ndarray, view: View
) -> bool:
    """Returns whether an image shows another infant beside a known one.

    Args:
      image, estimate, keypoint_set, aspect: see `tracking.find_infant`.
      pose: keypoints [K, 3] of the known infant.
      view: the region of the image in which it is.
    """
    scales = _scales_beside(view, image.shape[:2])
    return bool(find_infants(image, estimate, keypoint_set, aspect, 1, [pose], scales))


def _scales_beside(view: View, size: tuple[int, int]) -> Sequence[Sequence[float]]:
    """Returns the scales to search for an infant beside one in a view: those of a film are about equally large."""
    height = view.size[1] / max(size)
    return (*SCALES[:1], (height,)) if height < min(SCALES[0]) else SCALES[:1]


class SeveralTracker:
    """Tracks up to P infants through a video.

    A number stays with its infant while it is tracked. An infant who was lost gets its number back, by where it was
    last seen if several are missing; the first infants are numbered from left to right.

    Args:
      estimate, keypoint_set, aspect: see `tracking.find_infant`.
      persons: P.
    """

    def __init__(self, estimate: Estimate, keypoint_set: KeypointSet, aspect: float, persons: int):
        self._settings = estimate, keypoint_set, aspect
        self._keypoint_set = keypoint_set
        self._trackers = [Tracker(estimate, keypoint_set, aspect) for _ in range(persons)]
        self._last: list[np.ndarray | None] = [None] * persons  # keypoints where each infant was last seen

    def step(self, image: np.ndarray) -> list[np.ndarray | None]:
        """Returns the keypoints [K, 3] of each infant in the next frame uint8 [H, W, 3]; None for one not found."""
        found = [tracker.follow(image) for tracker in self._trackers]
        self._separate(found)
        self._search(image, found)
        for person, (tracker, one) in enumerate(zip(self._trackers, found, strict=True)):
            tracker.accept(one)
            self._last[person] = one.keypoints if one else self._last[person]
        return [one and one.keypoints for one in found]

    def _separate(self, found: list[Detection | None]) -> None:
        """If two trackers follow the same infant, the one that came from farther away has lost its own."""
        for a, b in itertools.combinations(range(len(found)), 2):
            first, second = found[a], found[b]
            if first and second and _similarity(first.keypoints, second.keypoints, self._keypoint_set) > SAME_OKS:
                moved = [self._distance(person, first.keypoints) for person in (a, b)]
                found[a if moved[0] > moved[1] else b] = None

    def _search(self, image: np.ndarray, found: list[Detection | None]) -> None:
        """Searches for the infants that were not found, and enters them."""
        known = [one for one in found if one]
        missing = [person for person, one in enumerate(found) if not one]
        lost = [self._trackers[person].lost for person in missing]
        interval = SEARCH_INTERVAL if known else 1
        if not any(frames % interval == 0 for frames in lost):
            return
        scales: Sequence = SCALES if min(lost) % SMALL_SEARCH_INTERVAL == 0 else SCALES[:1]
        if known:
            scales = _scales_beside(known[0].view, image.shape[:2])
        new = find_infants(image, *self._settings, len(missing), [one.keypoints for one in known], scales)
        for person, detection in zip(self._numbers(missing, new), new, strict=True):
            found[person] = detection

    def _numbers(self, missing: list[int], new: list[Detection]) -> tuple[int, ...]:
        """Returns the numbers of infants that were found, from those of missing ones: the nearest ones altogether."""

        def distance(persons: tuple[int, ...]) -> float:
            return sum(self._distance(person, one.keypoints) for person, one in zip(persons, new, strict=True))

        return min(itertools.permutations(missing, len(new)), key=distance)

    def _distance(self, person: int, keypoints: np.ndarray) -> float:
        """Returns how far keypoints [K, 3] are from where an infant was last seen, in extents of its body."""
        last = self._last[person]
        if last is None:
            return NEW_DISTANCE
        return float(np.linalg.norm(_centre(keypoints) - _centre(last))) / _extent(last)


def _similarity(pose: np.ndarray, other: np.ndarray, keypoint_set: KeypointSet) -> float:
    """Returns the OKS of two poses [K, 3]."""
    areas = [np.prod(np.ptp(_confident(one), axis=0)) for one in (pose, other)]
    return float(oks(pose, other[None], areas[0], np.array(areas[1:]), keypoint_set.sigmas)[0])


def _confident(keypoints: np.ndarray) -> np.ndarray:
    """Returns the x and y [N, 2] of the keypoints [K, 3] that contribute to the view of a person; all if none does."""
    confident = keypoints[:, 2] > MIN_KEYPOINT_SCORE
    return keypoints[confident if confident.any() else slice(None), :2].astype(np.float64)


def _centre(keypoints: np.ndarray) -> np.ndarray:
    centre: np.ndarray = _confident(keypoints).mean(0)
    return centre


def _extent(keypoints: np.ndarray) -> float:
    """Returns the diagonal in pixels of the box around the keypoints [K, 3] of an infant, at least 1."""
    return max(float(np.linalg.norm(np.ptp(_confident(keypoints), axis=0))), 1.0)


def _bodies(size: tuple[int, int], poses: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a mask bool [H, W] of the convex hulls of poses [K, 3], enlarged by MARGIN."""
    mask = np.zeros(size, np.uint8)
    for pose in poses:
        hull = cv2.convexHull(np.clip(_confident(pose), -1e4, 1e4).round().astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1)
        cv2.polylines(mask, [hull], True, 1, min(max(round(2 * MARGIN * _extent(pose)), 1), 32767))
    return mask > 0


def _without(image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Returns a copy of an image whose covered pixels have the mean colour of the others."""
    if not covered.any():
        return image
    copy = image.copy()
    copy[covered] = image[~covered].mean(0) if not covered.all() else 0
    return copy


def _covered_fraction(pose: np.ndarray, covered: np.ndarray) -> float:
    """Returns which fraction of the keypoints [K, 3] of a pose lies on covered pixels; outside of the image is not."""
    x, y = _confident(pose).round().astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < covered.shape[1]) & (y < covered.shape[0])
    return float(covered[y[inside], x[inside]].sum()) / len(x)
