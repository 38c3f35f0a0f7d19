"""A series of a resting infant of 21 keypoints, with a torso of 100 pixels, for tests that change it by hand."""

import dataclasses

import numpy as np
from infant_truth import pose

from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.recordings.poses import collect
from aggpose_jax.recordings.recording import Facts, Recording
from aggpose_jax.timeseries.series import Flag, Series

FACTS = Facts("gone.mp4", 1000, 1000, 0, 30.0, 120, 120, 0, "aggpose_jax 0.2.0", "abc", "tracking")
SHOULDERS = [INFANT_21.names.index(f"{side}_shoulder") for side in ("left", "right")]


def resting(frames: int, persons: int = 1) -> np.ndarray:
    """Returns positions [T, P, 21, 2] in pixels; each further person lies 300 pixels to the right."""
    shift = 300 * np.arange(persons)[:, None, None] * np.array([1, 0])
    return np.tile(pose()[None, None, :, :2] + shift, (frames, 1, 1, 1))


def series(
    position: np.ndarray,
    rate: float = 30.0,
    keypoint_set: KeypointSet = INFANT_21,
    time: np.ndarray | None = None,
    **facts,
) -> Series:
    """Returns the series of positions [T, P, K, 2], of which a person is missing in a frame where all are NaN.

    Args:
      position: pixels.
      rate: frames per second.
      keypoint_set: of the K keypoints.
      time: [T] seconds, instead of the rate.
      facts: values that differ from those of FACTS.
    """
    time = np.arange(len(position)) / rate if time is None else time
    present = [[p for p, points in enumerate(frame) if np.isfinite(points).any()] for frame in position]
    found = [
        np.concatenate([frame[seen], np.full((len(seen), len(keypoint_set), 1), 0.8)], axis=-1)
        for frame, seen in zip(position, present, strict=True)
    ]
    poses = collect(keypoint_set, time.tolist(), found, persons=present)
    known = {"promised": len(position), "decoded": len(position)} | facts
    recording = Recording("ward/film", poses, dataclasses.replace(FACTS, **known))
    flag = np.where(np.isfinite(recording.position).all(axis=-1), Flag.OK, Flag.MISSING).astype(np.uint8)
    return Series(recording, recording.position.copy(), flag, np.where(flag == Flag.OK, 0.05, np.nan))
