"""Views: which part of an image a crop shows, turned how; of a person, at random for training, or of a pose."""

import dataclasses
from typing import NamedTuple

import numpy as np

from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.protocol import AGGPOSE, Protocol

HALF_BODY_PADDING = 1.5
UPPER_BODY_PROBABILITY = 0.69
WINDOW_SCALES = (0.4, 2.5)  # smallest and largest side of a random window, as multiples of the person's view
MIN_KEYPOINT_SCORE = 0.2  # keypoints must score higher, or be labelled, to contribute to the view of a person


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The ranges of the geometric augmentation; the defaults are those for COCO (AggPose §4.2, after HRNet).

    Attributes:
      half_body: probability of showing only the upper or the lower body.
      half_body_min_labelled: half-body views are drawn only for persons with more labelled keypoints than this.
      scale: the sides of the region are multiplied by N(1, scale), clipped to 1 ± scale.
      rotation: degrees; the view rotates by N(0, rotation), clipped to ± 2 rotation.
      rotation_probability: probability of rotating at all.
      flip: probability of mirroring left and right.
      cutout: probability that a rectangle of the crop is black (DeVries and Taylor 2017).
      shift: the view is moved by up to this fraction of its sides, as the crop of a moving person is.
      shift_probability: probability of moving the view at all.
      window: probability of showing a window at a random place near the person instead, as the search for a person
        does. It may show only part of the person, or nothing.
    """

    half_body: float = 0.3
    half_body_min_labelled: int = 8
    scale: float = 0.35
    rotation: float = 45.0
    rotation_probability: float = 0.6
    flip: float = 0.5
    cutout: float = 0.0
    shift: float = 0.0
    shift_probability: float = 1.0
    window: float = 0.0


class View(NamedTuple):
    """The content of a crop: a region of the image, rotated and then possibly mirrored.

    The region has a center [2] (x, y) and a size [2] (width, height) in image pixels; the rotation is in degrees
    counter-clockwise.
    """

    center: np.ndarray
    size: np.ndarray
    rotation: float = 0.0
    flipped: bool = False


def half_body(keypoints: np.ndarray, keypoint_set: KeypointSet, aspect: float, rng: np.random.Generator) -> View | None:
    """Draws a view of the upper or the lower body (Wang et al. 2018).

    The upper body is chosen with probability 0.69 if more than 2 of its keypoints are labelled; otherwise the lower
    body, if more than 2 of its keypoints are labelled; otherwise the upper body.

    Args:
      keypoints: [K, 3] x, y, visibility in image pixels.
      keypoint_set: defines which keypoints belong to the upper body.
      aspect: width / height of the crop.
      rng: random generator.

    Returns:
      The view centred on the mean of the labelled keypoints of the chosen half, or None if these are fewer than 2.
    """
    labelled = keypoints[:, 2] > 0
    upper, lower = labelled & keypoint_set.is_upper, labelled & ~keypoint_set.is_upper
    take_upper = upper.sum() > 2 and rng.random() < UPPER_BODY_PROBABILITY
    points = keypoints[upper if take_upper or lower.sum() <= 2 else lower, :2]
    if len(points) < 2:
        return None
    extent = np.ptp(points, axis=0) + 1
    _, size = geometry.crop_region(np.concatenate([points.min(axis=0), extent]), aspect, HALF_BODY_PADDING)
    return View(points.mean(axis=0), size)


def draw_scale(deviation: float, rng: np.random.Generator) -> float:
    """Draws a scale factor from N(1, deviation), clipped to 1 ± deviation."""
    return min(max(1 + deviation * rng.standard_normal(), 1 - deviation), 1 + deviation)


def draw_rotation(deviation: float, probability: float, rng: np.random.Generator) -> float:
    """Draws a rotation in degrees: 0, or with `probability` an angle from N(0, deviation), clipped to ± 2 deviation."""
    if rng.random() >= probability:
        return 0.0
    return min(max(deviation * rng.standard_normal(), -2 * deviation), 2 * deviation)


def draw_window(view: View, rng: np.random.Generator) -> View:
    """Draws a window of random size whose middle lies in a view."""
    size = view.size * np.exp(rng.uniform(*np.log(WINDOW_SCALES)))
    return view._replace(center=view.center + rng.uniform(-0.5, 0.5, 2) * view.size, size=size)


def rotation_transform(rotation: float) -> np.ndarray:
    """Returns the transform [2, 3] that rotates image points as a view of this rotation does, without scaling."""
    return geometry.crop_transform((0, 0), (2, 2), (2, 2), rotation)


def box_view(keypoints: np.ndarray, rotation: float, aspect: float) -> View:
    """Returns the view at a rotation of the box around the keypoints [K, 3] that score above MIN_KEYPOINT_SCORE."""
    turn = rotation_transform(rotation)
    points = geometry.apply(turn, keypoints[keypoints[:, 2] > MIN_KEYPOINT_SCORE, :2])
    center, size = geometry.crop_region(np.concatenate([points.min(0), np.ptp(points, axis=0)]), aspect)
    return View(geometry.apply(geometry.invert(turn), center), size, rotation)


def body_roll(keypoints: np.ndarray, keypoint_set: KeypointSet) -> float | None:
    """Returns the rotation of a body in degrees, clockwise on screen; 0 if the shoulders are above the hips.

    Returns None if the keypoint set has no shoulders or hips, or if one of the four does not score above
    MIN_KEYPOINT_SCORE.
    """
    ends = []
    for part in ("shoulder", "hip"):
        indices = [k for k, name in enumerate(keypoint_set.names) if name in (f"left_{part}", f"right_{part}")]
        points = keypoints[indices]
        if len(indices) < 2 or (points[:, 2] <= MIN_KEYPOINT_SCORE).any():
            return None
        ends.append(points[:, :2].mean(0))
    x, y = ends[1] - ends[0]
    return float(np.rad2deg(np.arctan2(-x, y)))


def person_view(
    record: dict, keypoint_set: KeypointSet, aspect: float, upright: bool, protocol: Protocol = AGGPOSE
) -> View:
    """Returns the view of the person of a record: its box, or, if `upright`, turned with the shoulders above the hips.

    A turned view is the padded box around the labelled keypoints. A person whose shoulders or hips are not labelled is
    not turned. The protocol defines the centre of a box and whether it is enlarged if it is annotated.
    """
    roll = body_roll(record["keypoints"], keypoint_set) if upright else None
    if roll is not None:
        return box_view(record["keypoints"], roll, aspect)
    annotated = (record["keypoints"][:, 2] > 0).any()  # Records of detected persons have no labelled keypoint.
    box = record["box"] + np.array([0, 0, 1, 1]) * (protocol.larger_boxes and annotated)
    return View(*geometry.crop_region(box, aspect, pixel_center=protocol.pixel_center))


def draw_view(
    record: dict,
    keypoint_set: KeypointSet,
    aspect: float,
    augmentation: Augmentation,
    rng: np.random.Generator,
    upright: bool = False,
    protocol: Protocol = AGGPOSE,
) -> View:
    """Draws a random view of the person of a record, as the augmentation describes. See `person_view`."""
    view = None
    labelled = np.count_nonzero(record["keypoints"][:, 2])
    if labelled > augmentation.half_body_min_labelled and rng.random() < augmentation.half_body:
        view = half_body(record["keypoints"], keypoint_set, aspect, rng)
    view = view or person_view(record, keypoint_set, aspect, upright, protocol)
    if augmentation.window and rng.random() < augmentation.window:
        view = draw_window(view, rng)
    center, size, rotation, _ = view
    if augmentation.shift and (augmentation.shift_probability == 1 or rng.random() < augmentation.shift_probability):
        center = center + rng.uniform(-augmentation.shift, augmentation.shift, 2) * size
    size = size * draw_scale(augmentation.scale, rng)
    rotation = rotation + draw_rotation(augmentation.rotation, augmentation.rotation_probability, rng)
    return View(center, size, rotation, flipped=rng.random() < augmentation.flip)


def view_transform(view: View, image_width: int, input_size: tuple[int, int], convention: str) -> np.ndarray:
    """Returns the affine transform [2, 3] from image pixels to the pixels of the crop of a view.

    A flipped view is the same view of the mirrored image. Mirroring is part of the transform; it does not copy pixels.
    """
    if not view.flipped:
        return geometry.crop_transform(view.center, view.size, input_size, view.rotation, convention)
    flip = geometry.mirror(image_width)
    center = geometry.apply(flip, view.center)
    return geometry.compose(flip, geometry.crop_transform(center, view.size, input_size, view.rotation, convention))
