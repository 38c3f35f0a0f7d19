"""Writes and reads OpenPose's JSON files, one per frame, with the 25 keypoints of BODY_25.

The files of a video are VIDEO_000000000000_keypoints.json and so on. x and y are in pixels, and the third number of a
keypoint is its score; a keypoint that is not in the keypoint set, or was not found, is 0, 0, 0. The neck is the
midpoint of the shoulders, the mid-hip that of the hips. Keypoints that are not in BODY_25 (chin, chest, navel and
fingers of infants) and times are not stored.
"""

import json
import pathlib
import re

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.openpose_people import BODY_25, read_people, select
from aggpose_jax.recordings.poses import Poses, collect

MIDPOINTS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
EMPTY_FIELDS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d",
                "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")  # fmt: skip
NAME = re.compile(r"(.*_)?(\d+)_keypoints\.json")


def write(poses: Poses, folder: pathlib.Path, stem: str) -> None:
    """Writes poses as OpenPose files FOLDER/STEM_000000000000_keypoints.json and so on, one file per frame.

    Raises:
      UserError: no keypoint of the set is in BODY_25.
    """
    names = poses.keypoint_set.names
    if not set(names) & set(BODY_25):
        raise UserError(f"{poses.keypoint_set.name}: has no keypoint of OpenPose's BODY_25; choose another format")
    body = _body(poses)
    folder.mkdir(parents=True, exist_ok=True)
    for frame, number in enumerate(poses.numbers):
        people = [
            {
                "person_id": [-1],
                "pose_keypoints_2d": body[row].round(4).ravel().tolist(),
                **{key: [] for key in EMPTY_FIELDS},
            }
            for row in poses.rows(frame)
        ]
        # The files are not written atomically: flushing one file per frame would take minutes, and an interrupted
        # recording is incomplete anyway because files are missing.
        content = json.dumps({"version": 1.3, "people": people})
        (folder / f"{stem}_{number:012}_keypoints.json").write_text(content)


def read(folder: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads a folder of OpenPose files. Keypoints of the set that are not in the files are 0 with the score 0.

    Raises:
      UserError: the folder has no OpenPose file, or a file is damaged or has neither BODY_25 nor COCO-18.
    """
    files = {int(match[2]): path for path in folder.glob("*.json") if (match := NAME.fullmatch(path.name))}
    if not files:
        raise UserError(f"{folder}: there is no file NAME_000000000000_keypoints.json in it; give a folder that "
                        "OpenPose wrote")  # fmt: skip
    numbers, found = sorted(files), []
    for number in numbers:
        people = [select(person, keypoint_set.names) for person in read_people(files[number])]
        found.append(np.reshape(people, (-1, len(keypoint_set), 3)))
    return collect(keypoint_set, [np.nan] * len(numbers), found, numbers)


def _body(poses: Poses) -> np.ndarray:
    """Returns the N poses as BODY_25 keypoints [N, 25, 3]: 0 where neither the keypoint set nor MIDPOINTS has one."""
    names = poses.keypoint_set.names
    body = np.zeros((len(poses.keypoints), len(BODY_25), 3))
    for index, name in enumerate(BODY_25):
        if name in names:
            body[:, index] = poses.keypoints[:, names.index(name)]
        elif name in MIDPOINTS and set(MIDPOINTS[name]) <= set(names):
            ends = poses.keypoints[:, [names.index(end) for end in MIDPOINTS[name]]]
            body[:, index] = np.concatenate([ends[..., :2].mean(1), ends[..., 2:].min(1)], axis=-1)
    return body
