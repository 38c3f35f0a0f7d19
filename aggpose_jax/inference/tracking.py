"""One infant in a whole image, and from frame to frame: views, keypoints, the next views. Needs no detector."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.transforms import View
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

# [(image, view)] → keypoints [N, K, 3] in image pixels.
Estimate = Callable[[Sequence[tuple[np.ndarray, View]]], np.ndarray]

COUNTED = 0.2  # keypoints that score less do not shape the box
FOUND = 0.4  # mean score of the keypoints from which on something is an infant
TURNS = (0.0, 90.0, 180.0, 270.0)
TILT = 30.0  # degrees from upright that a body may lean in its crop before the crop turns with it
LOOKS = 5  # at a candidate, each time at the box of the keypoints of the look before
CANDIDATES = 4  # windows that are looked at more closely
STABLE = 0.9  # overlap of two successive regions from which on the box is stable
MOVED = 0.6  # overlap below which the same frame is looked at again
# Heights of the first windows in shares of the frame: if the infant is in none, smaller ones follow.
SCALES = ((1.25, 1.0), (0.5,), (0.25,))
CHECKED = 30  # one frame in so many is looked at from the other sides too
CLOSELY = 10  # while there is no infant, one frame in so many is searched with small windows too


class Found(NamedTuple):
    """An infant: keypoints [K, 3] in image pixels, and the view that shows it upright and filling the crop."""

    keypoints: np.ndarray
    view: View


def find(
    image: np.ndarray, estimate: Estimate, keypoint_set: KeypointSet, aspect: float, scales: Sequence = SCALES
) -> Found | None:
    """Looks for an infant of any roll in a whole image.

    Windows over the image, at four quarter turns, go through the network; the best are followed from keypoints to
    box to keypoints until the box is stable. The infant is the one with the highest mean score, if it is FOUND.

    Args:
      image: uint8 [H, W, 3] RGB.
      estimate: of crops.
      keypoint_set: of K points.
      aspect: width / height of a crop.
      scales: SCALES, or fewer of them.
    """
    for shares in scales:
        views = [w for share in shares for turn in TURNS for w in windows(image.shape[:2], aspect, share, turn)]
        keypoints = estimate([(image, view) for view in views])
        order = np.argsort(-keypoints[..., 2].mean(-1), kind="stable")[:CANDIDATES]
        found = _settle(image, [Found(keypoints[i], views[i]) for i in order], estimate, keypoint_set, aspect)
        best = max(found, key=score)
        if score(best) >= FOUND:
            return turned(image, best, estimate, keypoint_set, aspect)
    return None


def turned(image: np.ndarray, found: Found, estimate: Estimate, keypoint_set: KeypointSet, aspect: float) -> Found:
    """The best of what is found and what the other three quarter turns of its box show.

    A network that has seen upright infants alone may take one that lies the other way round for an upright one, with a
    middling score.

    Args:
      image, estimate, keypoint_set, aspect: as of `find`.
      found: with at least two sure keypoints.
    """
    views = [box_view(found.keypoints, found.view.rotation + turn, aspect) for turn in TURNS[1:]]
    others = [Found(points, view) for points, view in zip(estimate([(image, v) for v in views]), views, strict=True)]
    return max(found, *_settle(image, others, estimate, keypoint_set, aspect), key=score)


def _settle(image, found: list[Found], estimate: Estimate, keypoint_set: KeypointSet, aspect: float) -> list[Found]:
    """What is found where the boxes of the keypoints are stable."""
    found = list(found)
    for _ in range(LOOKS):
        following = [next_view(*candidate, keypoint_set, aspect) for candidate in found]
        moving = [i for i, view in enumerate(following) if view and overlap(view, found[i].view) < STABLE]
        if not moving:
            break
        looked = estimate([(image, following[i]) for i in moving])
        for i, points in zip(moving, looked, strict=True):
            found[i] = Found(points, following[i])
    return found


class Tracker:
    """Follows one infant through the frames of a video: each frame is looked at where the last had its keypoints.

    Args:
      estimate, keypoint_set, aspect: as of `find`.
    """

    def __init__(self, estimate: Estimate, keypoint_set: KeypointSet, aspect: float):
        self._estimate, self._keypoint_set, self._aspect = estimate, keypoint_set, aspect
        self._view: View | None = None
        self._lost = 0  # frames without the infant
        self._followed = 0  # frames with it

    def step(self, image: np.ndarray) -> np.ndarray | None:
        """The keypoints [K, 3] in the next frame uint8 [H, W, 3], or None where no infant is found."""
        found = self._follow(image) if self._view else None
        if found and self._followed % CHECKED == 0:
            found = turned(image, found, self._estimate, self._keypoint_set, self._aspect)
        if found is None:
            scales = SCALES if self._lost % CLOSELY == 0 else SCALES[:1]
            found = find(image, self._estimate, self._keypoint_set, self._aspect, scales)
        self._lost, self._followed = (0, self._followed + 1) if found else (self._lost + 1, 0)
        self._view = found and next_view(*found, self._keypoint_set, self._aspect)
        return found and found.keypoints

    def _follow(self, image: np.ndarray) -> Found | None:
        """Looks where the infant was, and again while it turns out to be elsewhere."""
        view = self._view
        for _ in range(LOOKS):
            keypoints = self._estimate([(image, view)])[0]
            found = Found(keypoints, view)
            if score(found) < FOUND:
                return None
            view = next_view(keypoints, view, self._keypoint_set, self._aspect)
            if view is None:
                return None
            if overlap(view, found.view) >= MOVED:
                return found
        return None


def score(found: Found) -> float:
    """The mean score of the keypoints."""
    return float(found.keypoints[:, 2].mean())


def next_view(keypoints: np.ndarray, view: View, keypoint_set: KeypointSet, aspect: float) -> View | None:
    """The view of the box round keypoints [K, 3] that were seen in a view, or None if too few are sure.

    The box is upright in the crop. It keeps the view's rotation while the body leans less than TILT there, so that
    the crop does not tremble, and otherwise sets the body upright.
    """
    if (keypoints[:, 2] > COUNTED).sum() < 2:
        return None
    rotation = view.rotation
    roll = body_roll(keypoints, keypoint_set)
    if roll is not None and abs((roll - rotation + 180) % 360 - 180) > TILT:
        rotation = roll
    return box_view(keypoints, rotation, aspect)


def box_view(keypoints: np.ndarray, rotation: float, aspect: float) -> View:
    """The view of this rotation of the box round those of keypoints [K, 3] that are sure."""
    turn = _turn(rotation)
    points = geometry.apply(turn, keypoints[keypoints[:, 2] > COUNTED, :2])
    center, size = geometry.crop_region(np.concatenate([points.min(0), np.ptp(points, axis=0)]), aspect)
    return View(geometry.apply(geometry.invert(turn), center), size, rotation)


def body_roll(keypoints: np.ndarray, keypoint_set: KeypointSet) -> float | None:
    """Degrees clockwise on screen by which a body is turned: 0 with the shoulders above the hips.

    None for keypoint sets without shoulders and hips, and where these are not sure.
    """
    ends = []
    for part in ("shoulder", "hip"):
        indices = [k for k, name in enumerate(keypoint_set.names) if name in (f"left_{part}", f"right_{part}")]
        points = keypoints[indices]
        if len(indices) < 2 or (points[:, 2] <= COUNTED).any():
            return None
        ends.append(points[:, :2].mean(0))
    x, y = ends[1] - ends[0]
    return float(np.rad2deg(np.arctan2(-x, y)))


def windows(image_size: tuple[int, int], aspect: float, share: float, rotation: float) -> list[View]:
    """Views of a crop's aspect that cover an image (height, width), each half over the next, turned by quarters.

    Args:
      image_size: (height, width).
      aspect: width / height of a view.
      share: height of the views over that of the turned image.
      rotation: 0, 90, 180 or 270 degrees.
    """
    middle = (np.array(image_size[::-1]) - 1) / 2
    turned = np.array(image_size[::-1] if rotation % 180 == 0 else image_size, np.float64)
    size = np.maximum(turned[1] * share * np.array([aspect, 1]), 2)
    numbers = np.ceil(np.maximum(turned - size, 0) / (size / 2)).astype(int) + 1
    axes = [np.linspace(-0.5, 0.5, n) * max(t - s, 0) for n, t, s in zip(numbers, turned, size, strict=True)]
    back = geometry.invert(_turn(rotation))[:, :2]
    return [View(middle + back @ offset, size, rotation) for offset in itertools.product(*axes)]


def overlap(a: View, b: View) -> float:
    """How alike two views are: the overlap (intersection over union) of their regions, 0 if turned apart by TILT."""
    if abs((a.rotation - b.rotation + 180) % 360 - 180) > TILT:
        return 0.0
    apart = _turn(a.rotation)[:, :2] @ (b.center - a.center)
    low = np.maximum(-a.size / 2, apart - b.size / 2)
    high = np.minimum(a.size / 2, apart + b.size / 2)
    common = np.prod(np.maximum(high - low, 0))
    return float(common / (np.prod(a.size) + np.prod(b.size) - common))


def _turn(rotation: float) -> np.ndarray:
    """The transform [2, 3] of image points that turns them as a view of this rotation does, and keeps lengths."""
    return geometry.crop_transform((0, 0), (2, 2), (2, 2), rotation)
