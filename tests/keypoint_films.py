"""Recordings whose keypoints tests choose."""

from typing import ClassVar

import numpy as np

from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings import recording, tidy
from aggpose_jax.recordings.poses import collect
from aggpose_jax.recordings.recording import Facts, Recording

NETWORK = "abc"
# The torso comes first, then two hands.
BODY = KeypointSet(
    "body",
    ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_wrist", "right_wrist"),
    ((0, 1), (2, 3), (4, 5)),
    ((0, 1),),
    (0.05,) * 6,
    (0, 1),
)
# Lying with the head at the top: the torso is 100 pixels long, the hips are around (200, 300).
AT_REST = np.array([[240, 200], [160, 200], [230, 300], [170, 300], [300, 220], [100, 220]], float)


def film(
    frames: int, rate: float = 30, keypoint_set: KeypointSet = BODY, pose: np.ndarray = AT_REST
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the times [T] and the positions [T, 1, K, 2] of a person at rest."""
    return np.arange(frames) / rate, np.tile(pose[None, None, : len(keypoint_set)], (frames, 1, 1, 1))


def record(
    time: np.ndarray, position: np.ndarray, confidence: float | np.ndarray = 0.8, keypoint_set: KeypointSet = BODY
) -> Recording:
    """Returns a recording of positions [T, P, K, 2]; a person is missing where all its keypoints are."""
    score = np.broadcast_to(confidence, position.shape[:3])
    keypoints = np.concatenate([position, score[..., None]], axis=-1)
    found, persons = [], []
    for poses in keypoints:
        seen = np.flatnonzero(np.isfinite(poses[..., :2]).any(axis=(1, 2)))
        found.append(poses[seen])
        persons.append(seen.tolist())
    poses = collect(keypoint_set, list(time), found, persons=persons)
    facts = Facts("film.mp4", 640, 480, 0, 30.0, len(time), len(time), 0, "aggpose_jax", NETWORK, "tracking")
    return Recording("film", poses, facts)


def write(folder, made: Recording):
    """Writes a recording into a folder, as `predict` does, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tidy.write(made.poses, folder / recording.TABLE)
    recording.write_facts(made.facts, made.poses, folder)
    return folder


class Certainty:
    """An error model by which a confidence is the probability of a small error, and its complement the error."""

    digest, domain, films = NETWORK, "supine infants", 24
    amplitude: ClassVar = {}
    reliability: ClassVar = {}

    def expected_error(self, confidence: np.ndarray) -> np.ndarray:
        return 1 - confidence

    def probability(self, confidence: np.ndarray) -> np.ndarray:
        return confidence
