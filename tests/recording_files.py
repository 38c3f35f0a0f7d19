"""Recordings whose first frames are without a pose, for the tests of file formats."""

import pathlib

import numpy as np

from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.recordings import recording, tidy
from aggpose_jax.recordings.poses import collect
from aggpose_jax.recordings.recording import Facts, Recording

FACTS = Facts("films/ä.mp4", 320, 240, 90, 29.97, 5, 4, 1, "aggpose_jax 0.2.0", "abc", "tracking")
TIMES = (0, 0.04, 0.08, 0.2)
ONE = ((), (), (0,), (0,))  # numbers of the persons in each frame
TWO = ((), (), (0, 1), (1,))


def make_recording(persons=ONE, keypoint_set: KeypointSet = INFANT_21) -> Recording:
    """Returns a recording of up to four frames with random keypoints."""
    rng = np.random.default_rng(0)
    found = [rng.uniform(0, 1, (len(numbers), len(keypoint_set), 3)) * (320, 240, 1) for numbers in persons]
    times, numbers = list(TIMES[: len(persons)]), [list(one) for one in persons]
    return Recording("film", collect(keypoint_set, times, found, persons=numbers), FACTS)


def write_recording(folder: pathlib.Path, persons=ONE) -> Recording:
    """Writes such a recording into a folder, as predict does, and returns it."""
    made = make_recording(persons)
    folder.mkdir(parents=True)
    tidy.write(made.poses, folder / recording.TABLE)
    recording.write_facts(made.facts, made.poses, folder)
    return made
