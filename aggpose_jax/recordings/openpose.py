"""OpenPose's folder of JSON files, one a frame: VIDEO_000000000000_keypoints.json with the 25 points of BODY_25.

x and y are in pixels, the third number of a point is its score; a point that a keypoint set lacks, or that was not
found, is 0, 0, 0. Neck and mid-hip lie between both shoulders and both hips. What has no place among the 25 (the chin,
the chest, the navel and the fingers of infants) is not kept, nor are times.
"""

import json
import pathlib
import re

import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.poses import Poses, collect

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_toe", "left_small_toe", "left_heel", "right_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
BETWEEN = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
OTHERS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d",
          "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")  # fmt: skip
NAME = re.compile(r"(.*_)?(\d+)_keypoints\.json")


def write(poses: Poses, folder: pathlib.Path, stem: str) -> None:
    """Writes FOLDER/STEM_000000000000_keypoints.json and so on, one for each frame.

    Raises:
      UserError: no keypoint of the set is one of BODY_25.
    """
    names = poses.keypoint_set.names
    if not set(names) & set(BODY_25):
        raise UserError(f"{poses.keypoint_set.name} shares no keypoint with OpenPose's BODY_25; choose another format")
    body = _body(poses)
    folder.mkdir(parents=True, exist_ok=True)
    for frame, number in enumerate(poses.numbers):
        people = [
            {"person_id": [-1], "pose_keypoints_2d": body[row].round(4).ravel().tolist(), **{key: [] for key in OTHERS}}
            for row in poses.rows(frame)
        ]
        # Not atomic: flushing a file for each frame takes minutes, and without the others it is not complete anyway.
        content = json.dumps({"version": 1.3, "people": people})
        (folder / f"{stem}_{number:012}_keypoints.json").write_text(content)


def read(folder: pathlib.Path, keypoint_set: KeypointSet) -> Poses:
    """Reads a folder of OpenPose; keypoints that BODY_25 lacks are 0 with the score 0.

    Raises:
      UserError: there is no such file in it, or one that is not of BODY_25.
    """
    files = {int(match[2]): path for path in folder.glob("*.json") if (match := NAME.fullmatch(path.name))}
    if not files:
        raise UserError(f"{folder}: holds no file NAME_000000000000_keypoints.json; give a folder of OpenPose")
    ours = [k for k, name in enumerate(keypoint_set.names) if name in BODY_25]
    theirs = [BODY_25.index(keypoint_set.names[k]) for k in ours]
    numbers, found = sorted(files), []
    for number in numbers:
        body = _read_people(files[number])
        keypoints = np.zeros((len(body), len(keypoint_set), 3))
        keypoints[:, ours] = body[:, theirs]
        found.append(keypoints)
    return collect(keypoint_set, [np.nan] * len(numbers), found, numbers)


def _body(poses: Poses) -> np.ndarray:
    """The poses as [N, 25, 3]."""
    names = poses.keypoint_set.names
    body = np.zeros((len(poses.keypoints), len(BODY_25), 3))
    for place, name in enumerate(BODY_25):
        if name in names:
            body[:, place] = poses.keypoints[:, names.index(name)]
        elif name in BETWEEN and set(BETWEEN[name]) <= set(names):
            ends = poses.keypoints[:, [names.index(end) for end in BETWEEN[name]]]
            body[:, place] = np.concatenate([ends[..., :2].mean(1), ends[..., 2:].min(1)], axis=-1)
    return body


def _read_people(path: pathlib.Path) -> np.ndarray:
    """[P, 25, 3] of a file."""
    try:
        people = json.loads(path.read_bytes())["people"]
        return np.array([person["pose_keypoints_2d"] for person in people], np.float64).reshape(len(people), 25, 3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not of OpenPose's BODY_25 ({error}); check the file") from error
