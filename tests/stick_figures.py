"""A stick figure of coloured dots, and a substitute for a pose network that finds it, for exact tests of tracking."""

import cv2
import numpy as np

from aggpose_jax.data.transforms import warp
from aggpose_jax.data.views import view_transform
from aggpose_jax.inference.predictor import Predictor
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.pose.protocol import AGGPOSE

STICK_FIGURE = KeypointSet(
    name="stick figure",
    names=(
        "left_eye", "right_eye", "left_shoulder", "right_shoulder",
        "left_hip", "right_hip", "left_ankle", "right_ankle",
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7)),
    skeleton=((0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
    sigmas=(0.05,) * 8,
    upper_body=(0, 1, 2, 3),
)  # fmt: skip
# Keypoints of a stick figure on its back, with the origin between the eyes and a height of 1.
SHAPE = np.array([(0.06, 0), (-0.06, 0), (0.2, 0.25), (-0.2, 0.25), (0.12, 0.6), (-0.12, 0.6), (0.15, 1), (-0.15, 1)])
COLOURS = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0.45, 0.45)])
DIRECTIONS = COLOURS / np.linalg.norm(COLOURS, axis=1, keepdims=True)
CROP = (64, 48)


def stick_figure(center=(160, 120), height=150.0, roll=0.0) -> np.ndarray:
    """Returns the keypoints [8, 2] of a stick figure around a centre, rotated clockwise by `roll` degrees."""
    c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
    return np.array(center) + height * (SHAPE - (0, 0.5)) @ np.array([[c, s], [-s, c]])


def render(points: np.ndarray | None, size=(240, 320)) -> np.ndarray:
    """Returns an image uint8 [H, W, 3] with the keypoints as coloured dots on black, or without dots for None."""
    image = np.zeros((*size, 3), np.uint8)
    if points is not None:
        radius = 0.04 * np.linalg.norm(points[[0, 1]].mean(0) - points[[6, 7]].mean(0))
        for point, colour in zip(points, COLOURS, strict=True):
            x, y, r = (round(float(value) * 16) for value in (*point, radius))
            cv2.circle(image, (x, y), r, (255 * colour).tolist(), cv2.FILLED, cv2.LINE_AA, 4)
    return image


def find_dots(crop: np.ndarray) -> np.ndarray:
    """Returns the dots [8, 3] in a crop: x, y and the score, which is 0 for a missing dot.

    Otherwise it is 1 if the stick figure is upright and its torso is between 5 and 35 pixels long, and 0.1 if not.
    """
    y, x = np.nonzero(crop.max(-1) > 40)
    colours = crop[y, x].astype(float)
    level = np.linalg.norm(colours, axis=-1, keepdims=True)
    weight = np.where(colours @ DIRECTIONS.T > 0.985 * level, level, 0)
    mass = weight.sum(0)
    points = weight.T @ np.column_stack([x, y]) / np.maximum(mass, 1)[:, None]
    torso = points[4:6].mean(0) - points[2:4].mean(0)
    good = (mass[2:6] > 0).all() and abs(np.arctan2(torso[0], torso[1])) < 0.9 and 5 < np.linalg.norm(torso) < 35
    return np.column_stack([points, np.where(mass > 0, 1.0 if good else 0.1, 0)])


class StickFigureFinder(Predictor):
    """A predictor that uses `find_dots` instead of a network. `crops` counts the crops."""

    def __init__(self):
        self.keypoint_set, self.aspect, self.digest = STICK_FIGURE, CROP[1] / CROP[0], "dots"
        self.batch_sizes, self.protocol, self.crops = (1, 4, 16), AGGPOSE, 0

    def start(self, crops):
        """Returns a function that returns the keypoints of crops, as Predictor.start does."""
        self.crops += len(crops)
        found = [_find_in_image(image, view) for image, view in crops]
        return lambda: np.array(found).reshape(-1, len(STICK_FIGURE), 3)


def _find_in_image(image, view):
    transform = view_transform(view, image.shape[1], CROP, "unbiased")
    found = find_dots(warp(image, transform, CROP))
    return np.column_stack([geometry.apply(geometry.invert(transform), found[:, :2]), found[:, 2]])
