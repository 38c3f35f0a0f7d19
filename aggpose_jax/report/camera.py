"""Measures the movement of the camera from the background of a film.

Corners of a key frame outside of the persons are followed by optical flow (Lucas and Kanade, in pyramids: Bouguet
2001), and a similarity is fitted to them by RANSAC. While that succeeds, displacements do not drift. Where it fails, as
in the blur of a hard shake, phase correlation with the frame before gives a displacement, or the frame is a jump.
"""

import itertools
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from aggpose_jax.data.videos import VideoFrame, read_frames
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries.camera_motion import CameraMotion

SIDE = 320  # longer side in pixels of the reduced frames
MARGIN = 0.15  # of the longer side of a person's box, around it: hands, feet and shadows that keypoints do not reach
CORNERS, QUALITY, APART = 200, 0.01, 7  # corners at most, their least quality relative to the best, pixels between them
WINDOW, LEVELS = (21, 21), 3  # of the optical flow
MIN_POINTS = 10  # fewer corners may all lie on one moving thing
INLIERS, INLIER_DISTANCE = 0.5, 1.0  # fraction of the corners, and pixels of a reduced frame, for a similarity to count
MIN_RESPONSE = 0.2  # of the phase correlation: 1 for shifted copies, about .05 for unrelated pictures
CHANGED_LEVEL, CHANGED_AREA = 12, 0.25  # grey levels, and fraction of the background that must differ for a jump
FLAT = 3.0  # standard deviation in grey levels below which a picture is blank


def measure(video: pathlib.Path, recording: Recording) -> CameraMotion:
    """Returns the movement of the camera in the T frames of a recording.

    Raises:
      VideoError: the video cannot be read.
    """
    rows = {int(number): row for row, number in enumerate(recording.poses.numbers)}
    background = Background()
    path, jumped = np.full((len(rows), 2), np.nan), np.zeros(len(rows), bool)
    for frame in chosen_frames(video, rows):
        row = rows[frame.index]
        path[row], jumped[row] = background.step(*_reduce(frame.image, recording.position[row]))
    return CameraMotion(path, jumped)


def chosen_frames(video: pathlib.Path, numbers) -> Iterator[VideoFrame]:
    """Yields the frames of a video that have certain numbers; the others are decoded but not converted."""
    counted = itertools.count()
    return read_frames(video, is_selected=lambda seconds: next(counted) in numbers)


class Background:
    """Follows the background from frame to frame."""

    def __init__(self) -> None:
        self._previous: tuple[np.ndarray, np.ndarray] | None = None
        self._key: tuple[np.ndarray, np.ndarray] | None = None  # a frame and its corners [N, 2]
        self._from_key = np.eye(2, 3)  # from the key frame to the previous frame
        self._before_key = np.zeros(2)  # displacement of the key frame

    def step(self, grey: np.ndarray, is_background: np.ndarray) -> tuple[np.ndarray, bool]:
        """Returns the displacement of the next frame and whether it jumped.

        Args:
          grey: uint8 [h, w], the reduced frame.
          is_background: bool [h, w], false on persons.

        Returns:
          [2] displacement of the middle of the image since the first frame as a fraction of the diagonal, NaN if it is
          unknown; and whether the whole picture changed without a displacement that explains it.
        """
        previous, self._previous = self._previous, (grey, is_background)
        if self._key is not None:
            found = _follow(*self._key, grey, is_background, self._from_key)
            if found is not None:
                self._from_key = found
                return self._displacement(grey), False
        if previous is None:
            self._start(grey, is_background)
            return np.zeros(2), False
        known = self._displacement(grey)
        shift = _shift(*previous, grey, is_background)
        jumped = shift is None and _changed(*previous, grey, is_background)
        self._before_key = known + (0 if shift is None else shift / np.hypot(*grey.shape))
        self._start(grey, is_background)
        unknown = shift is None and (jumped or self._key is None)
        return np.full(2, np.nan) if unknown else self._before_key, jumped

    def _start(self, grey: np.ndarray, is_background: np.ndarray) -> None:
        """Makes a frame the key frame, if it has enough corners."""
        corners = cv2.goodFeaturesToTrack(grey, CORNERS, QUALITY, APART, mask=is_background.astype(np.uint8))
        enough = corners is not None and len(corners) >= MIN_POINTS
        self._key = (grey, corners.reshape(-1, 2)) if enough else None
        self._from_key = np.eye(2, 3)

    def _displacement(self, grey: np.ndarray) -> np.ndarray:
        middle = (np.array(grey.shape[::-1]) - 1) / 2
        moved = self._from_key @ (*middle, 1) - middle
        return self._before_key + moved / np.hypot(*grey.shape)


def _follow(
    key: np.ndarray, corners: np.ndarray, grey: np.ndarray, is_background: np.ndarray, guess: np.ndarray
) -> np.ndarray | None:
    """Returns the similarity [2, 3] from the key frame to a frame, from a guess; None if most corners do not agree."""
    start = (corners @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    end, status, _ = cv2.calcOpticalFlowPyrLK(key, grey, corners, start.copy(), winSize=WINDOW, maxLevel=LEVELS,
                                              flags=flags)  # fmt: skip
    inside = np.asarray(((end >= 0) & (end <= np.array(grey.shape[::-1]) - 1)).all(axis=1))
    x, y = np.where(inside[:, None], end, 0).round().astype(int).T
    usable = (status[:, 0] == 1) & inside & is_background[y, x]
    if usable.sum() < MIN_POINTS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        corners[usable], end[usable], method=cv2.RANSAC, ransacReprojThreshold=INLIER_DISTANCE
    )
    agree = matrix is not None and inliers.sum() >= max(MIN_POINTS, INLIERS * usable.sum())
    return matrix if agree else None


def _shift(before: np.ndarray, was: np.ndarray, grey: np.ndarray, is_background: np.ndarray) -> np.ndarray | None:
    """Returns the [2] shift in pixels between two frames by phase correlation of their backgrounds; None if unclear."""
    common = was & is_background
    if not common.any() or min(before[common].std(), grey[common].std()) < FLAT:
        return None
    a, b = (np.where(common, image - image[common].mean(), 0).astype(np.float32) for image in (before, grey))
    shift, response = cv2.phaseCorrelate(a, b, cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F))
    return np.array(shift) if response > MIN_RESPONSE else None


def _changed(before: np.ndarray, was: np.ndarray, grey: np.ndarray, is_background: np.ndarray) -> bool:
    """Returns whether most of the background differs between two frames, neither of which is blank."""
    common = was & is_background
    if not common.any() or min(before[common].std(), grey[common].std()) < FLAT:
        return False
    return bool((cv2.absdiff(before, grey)[common] > CHANGED_LEVEL).mean() > CHANGED_AREA)


def _reduce(image: np.ndarray, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a frame uint8 [H, W, 3] as a reduced grey image [h, w], and bool [h, w]: where no person is.

    Args:
      image: the frame.
      persons: [P, K, 2] keypoints in pixels of the frame; NaN where missing.
    """
    scale = min(SIDE / max(image.shape[:2]), 1)
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    is_background = np.ones((height, width), bool)
    for points in persons:
        points = points[np.isfinite(points).all(axis=1)] * scale
        if len(points):
            margin = MARGIN * np.ptp(points, axis=0).max()
            left, top = np.clip(points.min(axis=0) - margin, 0, None).astype(int)
            right, bottom = np.clip(points.max(axis=0) + margin + 1, 0, None).astype(int)
            is_background[top:bottom, left:right] = False
    return grey, is_background
