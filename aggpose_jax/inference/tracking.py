"""Finds one infant in an image and tracks it through a video by its keypoints, without a person detector.

A view (a region of the image and its rotation) gives keypoints, and the box around the keypoints gives the next view.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.views import MIN_KEYPOINT_SCORE, View, body_roll, box_view, rotation_transform
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

# [(image, view)] → keypoints [N, K, 3] in image pixels.
Estimate = Callable[[Sequence[tuple[np.ndarray, View]]], np.ndarray]

# A detected infant has at least this score. Chosen on rendered infants of the validation split and the network of the
# package: an infant was found in 1 of 80 frames without one and in 1 of 92 photographs without persons. A lower
# threshold found more infants, but no more of them accurately.
MIN_INFANT_SCORE = 0.35
QUARTER_TURNS = (0.0, 90.0, 180.0, 270.0)
MAX_TILT = 30.0  # degrees by which a body may lean from upright in its crop before the crop is rotated with it
MAX_REFINEMENTS = 5  # largest number of successive estimates, each in the box around the keypoints of the previous one
CANDIDATES = 4  # number of search windows, those of highest score, whose boxes are refined
STABLE_OVERLAP = 0.9  # the refinement of a box ends when two successive views overlap by at least this
MIN_OVERLAP = 0.6  # the keypoints of a frame are estimated again if the next view overlaps less with the current one
# Heights of the search windows as fractions of the image height. Smaller windows are searched only if no infant is
# found in the larger ones.
SCALES = ((1.25, 1.0), (0.5,), (0.25,))
ROTATION_CHECK_INTERVAL = 30  # tracked frames between two checks of the other three rotations
SMALL_SEARCH_INTERVAL = 10  # frames without an infant between two searches that include the small windows
# A search takes ten times as long as tracking, with the small windows a hundred times. After PATIENCE frames without an
# infant, only one frame in SEARCH_INTERVAL is searched, and small windows as much more rarely.
PATIENCE, SEARCH_INTERVAL = 10, 5


class Detection(NamedTuple):
    """A detected infant: keypoints [K, 3] in image pixels, and the view of the image in which they were estimated."""

    keypoints: np.ndarray
    view: View


def find_infant(
    image: np.ndarray, estimate: Estimate, keypoint_set: KeypointSet, aspect: float, scales: Sequence = SCALES
) -> Detection | None:
    """Searches the full image for one infant at any roll.

    The network estimates keypoints in overlapping windows at four rotations. The best windows are refined, from
    keypoints to box to keypoints, until their boxes are stable. The result is the candidate of highest score, or
    None if it scores less than MIN_INFANT_SCORE.

    Args:
      image: uint8 [H, W, 3] RGB.
      estimate: function from crops to keypoints.
      keypoint_set: set of K keypoints.
      aspect: width / height of a crop.
      scales: groups of window heights that are searched one after the other, SCALES or the first of them.
    """
    for group in scales:
        best = best_in_windows(image, estimate, keypoint_set, aspect, group)
        if score(best) >= MIN_INFANT_SCORE:
            return best_rotation(image, best, estimate, keypoint_set, aspect)
    return None


def best_in_windows(
    image: np.ndarray, estimate: Estimate, keypoint_set: KeypointSet, aspect: float, scales: Sequence[float]
) -> Detection:
    """Returns the best refined detection in the windows of some heights, whatever it scores.

    Args:
      image, estimate, keypoint_set, aspect: see `find_infant`.
      scales: heights of the windows as fractions of the image height.
    """
    views = [w for scale in scales for turn in QUARTER_TURNS for w in windows(image.shape[:2], aspect, scale, turn)]
    keypoints = estimate([(image, view) for view in views])
    order = np.argsort(-_scores(keypoints), kind="stable")[:CANDIDATES]
    found = _refine(image, [Detection(keypoints[i], views[i]) for i in order], estimate, keypoint_set, aspect)
    return max(found, key=score)


def best_rotation(
    image: np.ndarray, detection: Detection, estimate: Estimate, keypoint_set: KeypointSet, aspect: float
) -> Detection:
    """Returns the best of a detection and the detections in its box rotated by 90, 180 and 270 degrees.

    A network trained on upright infants only may find an upright infant where one is upside down, with a medium score.

    Args:
      image, estimate, keypoint_set, aspect: see `find_infant`.
      detection: at least two of its keypoints score above MIN_KEYPOINT_SCORE.
    """
    views = [box_view(detection.keypoints, detection.view.rotation + turn, aspect) for turn in QUARTER_TURNS[1:]]
    others = [
        Detection(points, view) for points, view in zip(estimate([(image, v) for v in views]), views, strict=True)
    ]
    return max(detection, *_refine(image, others, estimate, keypoint_set, aspect), key=score)


def _refine(
    image, detections: list[Detection], estimate: Estimate, keypoint_set: KeypointSet, aspect: float
) -> list[Detection]:
    """Returns refined detections: the steps keypoints → box → keypoints are repeated until their boxes are stable."""
    refined = list(detections)
    for _ in range(MAX_REFINEMENTS):
        following = [next_view(*candidate, keypoint_set, aspect) for candidate in refined]
        moving = [
            (i, view) for i, view in enumerate(following) if view and overlap(view, refined[i].view) < STABLE_OVERLAP
        ]
        if not moving:
            break
        keypoints = estimate([(image, view) for _, view in moving])
        for (i, view), points in zip(moving, keypoints, strict=True):
            refined[i] = Detection(points, view)
    return refined


class Tracker:
    """Tracks one infant through a video: each frame is cropped where the keypoints of the previous frame were.

    Attributes:
      lost: number of successive frames, up to the last one, without the infant.
      view: where the infant is expected in the next frame; None if it is lost.

    Args:
      estimate, keypoint_set, aspect: see `find_infant`.
    """

    def __init__(self, estimate: Estimate, keypoint_set: KeypointSet, aspect: float):
        self._estimate, self._keypoint_set, self._aspect = estimate, keypoint_set, aspect
        self.view: View | None = None
        self.lost = 0
        self._tracked = 0  # number of successive frames, up to the last one, with the infant

    def step(self, image: np.ndarray) -> np.ndarray | None:
        """Returns the keypoints [K, 3] in the next frame uint8 [H, W, 3], or None if no infant is found."""
        found = self.follow(image)
        if found is None and (self.lost < PATIENCE or self.lost % SEARCH_INTERVAL == 0):
            interval = SMALL_SEARCH_INTERVAL * (1 if self.lost <= PATIENCE else SEARCH_INTERVAL)
            scales = SCALES if self.lost % interval == 0 else SCALES[:1]
            found = find_infant(image, self._estimate, self._keypoint_set, self._aspect, scales)
        self.accept(found)
        return found and found.keypoints

    def follow(self, image: np.ndarray) -> Detection | None:
        """Returns the infant in the next frame where it was in the last one; None if it is not there or was lost."""
        found = self._track(image, self.view) if self.view else None
        if found and self._tracked % ROTATION_CHECK_INTERVAL == 0:
            found = best_rotation(image, found, self._estimate, self._keypoint_set, self._aspect)
        return found

    def accept(self, found: Detection | None) -> None:
        """Ends a frame in which the infant was found, or was not."""
        self.lost, self._tracked = (0, self._tracked + 1) if found else (self.lost + 1, 0)
        self.view = found and next_view(*found, self._keypoint_set, self._aspect)

    def _track(self, image: np.ndarray, view: View) -> Detection | None:
        """Returns the detection at the last known view; estimates again while the infant has moved too far from it.

        Returns None if the score becomes too low, or if the view does not settle within MAX_REFINEMENTS estimates.
        """
        for _ in range(MAX_REFINEMENTS):
            keypoints = self._estimate([(image, view)])[0]
            found = Detection(keypoints, view)
            if score(found) < MIN_INFANT_SCORE:
                return None
            following = next_view(keypoints, view, self._keypoint_set, self._aspect)
            if following is None:
                return None
            if overlap(following, view) >= MIN_OVERLAP:
                return found
            view = following
        return None


def score(detection: Detection) -> float:
    """Returns the score of a detected infant: the mean of the better half of the scores of its keypoints.

    The other half may be under a blanket or outside of the image.
    """
    return float(_scores(detection.keypoints))


def _scores(keypoints: np.ndarray) -> np.ndarray:
    """Returns the scores [...] of infants with keypoints [..., K, 3]."""
    ascending = np.sort(keypoints[..., 2], axis=-1)
    return ascending[..., ascending.shape[-1] // 2 :].mean(-1)


def next_view(keypoints: np.ndarray, view: View, keypoint_set: KeypointSet, aspect: float) -> View | None:
    """Returns the view of the box around keypoints [K, 3] that were estimated in a view.

    Returns None if fewer than two keypoints score above MIN_KEYPOINT_SCORE. The sides of the box are parallel to the
    crop. Its rotation stays that of the view while the body leans less than MAX_TILT in it, so that the crop does not
    jitter; otherwise it changes so that the body is upright.
    """
    if (keypoints[:, 2] > MIN_KEYPOINT_SCORE).sum() < 2:
        return None
    rotation = view.rotation
    roll = body_roll(keypoints, keypoint_set)
    if roll is not None and abs((roll - rotation + 180) % 360 - 180) > MAX_TILT:
        rotation = roll
    return box_view(keypoints, rotation, aspect)


def windows(image_size: tuple[int, int], aspect: float, scale: float, rotation: float) -> list[View]:
    """Returns views at one rotation that cover an image; neighbouring views overlap by at least half.

    Args:
      image_size: (height, width) of the image.
      aspect: width / height of a view.
      scale: height of the views as a fraction of the height of the rotated image.
      rotation: 0, 90, 180 or 270 degrees.
    """
    middle = (np.array(image_size[::-1]) - 1) / 2
    rotated = np.array(image_size[::-1] if rotation % 180 == 0 else image_size, np.float64)
    size = np.maximum(rotated[1] * scale * np.array([aspect, 1]), 2)
    numbers = np.ceil(np.maximum(rotated - size, 0) / (size / 2)).astype(int) + 1
    axes = [np.linspace(-0.5, 0.5, n) * max(r - s, 0) for n, r, s in zip(numbers, rotated, size, strict=True)]
    back = geometry.invert(rotation_transform(rotation))[:, :2]
    return [View(middle + back @ offset, size, rotation) for offset in itertools.product(*axes)]


def overlap(a: View, b: View) -> float:
    """Returns the intersection over union of the regions of two views; 0 if their rotations differ by over MAX_TILT."""
    if abs((a.rotation - b.rotation + 180) % 360 - 180) > MAX_TILT:
        return 0.0
    offset = rotation_transform(a.rotation)[:, :2] @ (b.center - a.center)
    low = np.maximum(-a.size / 2, offset - b.size / 2)
    high = np.minimum(a.size / 2, offset + b.size / 2)
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(a.size) + np.prod(b.size) - common))
