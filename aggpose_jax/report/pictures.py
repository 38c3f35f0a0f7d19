"""Draws frames of a film with their skeletons as small pictures in which nobody can be recognised."""

import pathlib

import cv2
import numpy as np

from aggpose_jax.data.images import encode_jpeg
from aggpose_jax.errors import UserError
from aggpose_jax.inference.privacy import head_circle, mosaic_heads
from aggpose_jax.pose.draw import draw_pose, mosaic
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.report.camera import chosen_frames
from aggpose_jax.report.worst import WorstFrame
from aggpose_jax.timeseries.body_checks import principal
from aggpose_jax.timeseries.series import Flag, Series

SIDE = 480  # longer side of a picture in pixels
QUALITY = 80  # of JPEG; twelve pictures take about half a megabyte
TILES = 24  # mosaic tiles across a picture where no person was found, so that bystanders are not recognisable
MARGIN = 0.2  # of the longer side of the box around the keypoints, around it: what is shown without a mosaic
HEAD_SECONDS, HEAD_POSES = (
    2.0,
    9,
)  # the heads of poses around a frame are hidden as well, if its own is at a wrong place
RING, RADIUS = (230, 30, 30), 8  # colour and pixels of the circles around suspect keypoints


def draw(video: pathlib.Path, series: Series, frames: list[WorstFrame]) -> dict[int, bytes]:
    """Returns a JPEG picture for the row of each frame that can be read.

    The head is a mosaic, and so is everything beside the body; the full picture, if the head was not located. Keypoints
    that were removed as outliers, or exchanged, are circled.

    Raises:
      VideoError: the video cannot be read.
    """
    numbers = series.recording.poses.numbers
    rows = {int(numbers[frame.row]): frame.row for frame in frames}
    return {rows[frame.index]: _draw(frame.image, series, rows[frame.index]) for frame in chosen_frames(video, rows)}


def _draw(image: np.ndarray, series: Series, row: int) -> bytes:
    scale = min(SIDE / max(image.shape[:2]), 1)
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    recording, person = series.recording, principal(series)
    poses = np.concatenate([recording.position * scale, recording.confidence[..., None]], axis=-1)
    found = poses[row][np.isfinite(poses[row]).all(axis=(1, 2))]
    image = _hide(image, found, _nearby(poses[:, person], recording.time, row), recording.keypoint_set)
    for pose in found:
        image = draw_pose(image, pose, recording.keypoint_set)
    suspect = np.isin(series.flag[row, person], (Flag.OUTLIER, Flag.SWAPPED))
    for x, y, _ in poses[row, person][suspect & np.isfinite(poses[row, person]).all(axis=1)]:
        cv2.circle(image, (round(x), round(y)), RADIUS, RING, 2, cv2.LINE_AA)
    return encode_jpeg(image, QUALITY)


def _nearby(poses: np.ndarray, time: np.ndarray, row: int) -> np.ndarray:
    """Returns up to HEAD_POSES of the poses [T, K, 3] at most HEAD_SECONDS from a frame."""
    near = np.flatnonzero(np.isfinite(poses).all(axis=(1, 2)) & (np.abs(time - time[row]) <= HEAD_SECONDS))
    return poses[near[:: max(-(-len(near) // HEAD_POSES), 1)]]


def _hide(image: np.ndarray, poses: np.ndarray, nearby: np.ndarray, keypoint_set: KeypointSet) -> np.ndarray:
    """Returns a picture with a mosaic beside its poses [P, K, 3], and on the heads of these and of poses nearby."""
    height, width = image.shape[:2]
    tile = max(max(height, width) // TILES, 1)
    hidden = mosaic(image, height // tile, width // tile)
    try:
        image = mosaic_heads(image, poses, keypoint_set)
        located = [pose for pose in nearby if head_circle(pose, keypoint_set)]
        image = mosaic_heads(image, np.stack(located), keypoint_set) if located else image
    except UserError:  # The keypoint set has no head.
        return hidden
    for pose in poses:
        margin = MARGIN * np.ptp(pose[:, :2], axis=0).max()
        left, top = np.clip(pose[:, :2].min(axis=0) - margin, 0, None).astype(int)
        right, bottom = np.clip(pose[:, :2].max(axis=0) + margin + 1, 0, None).astype(int)
        hidden[top:bottom, left:right] = image[top:bottom, left:right]
    return hidden
