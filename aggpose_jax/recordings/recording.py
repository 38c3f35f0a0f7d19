"""A recording: the keypoints of one video over time, and what is known of the video and of its prediction.

It is stored in two files of a folder: keypoints.csv, the table of `tidy`, and video.json, the facts. The values in the
table are those of the network; nothing that works with recordings changes it.
"""

import dataclasses
import functools
import json
import math
import pathlib
from typing import Any

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.pose import keypoint_files
from aggpose_jax.pose.keypoints import KeypointSet, find_keypoint_set
from aggpose_jax.recordings import tidy
from aggpose_jax.recordings.poses import Poses

FACTS, TABLE = "video.json", "keypoints.csv"
PARTIAL = ".partial"  # the names of folders of unfinished results, in the folder of a job, begin like this


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a video and of its prediction.

    Attributes:
      video: absolute path of the video.
      width, height: size of a displayed frame in pixels.
      rotation: degrees by which the stored frames are turned clockwise to be displayed: 0, 90, 180 or 270.
      header_rate: frames per second that the header of the file states; 0 if it states none.
      promised: number of frames that the file should contain, at least `decoded`.
      decoded: number of frames that could be decoded.
      errors: number of errors of the decoder.
      software: name and version of the program that wrote the keypoints.
      network: digest of the network, see `Predictor.digest`.
      boxes: where the boxes of persons came from: tracking, fixed boxes, detections, or the full image.
      searched: number of frames that were searched for a second infant, beside the one who is tracked.
      second: number of those in which there was one.
    """

    video: str
    width: int
    height: int
    rotation: int
    header_rate: float
    promised: int
    decoded: int
    errors: int
    software: str
    network: str
    boxes: str
    searched: int = 0
    second: int = 0


@dataclasses.dataclass(frozen=True)
class Recording:
    """The keypoints of a video over time: T frames, P persons, K keypoints.

    Attributes:
      name: name of the video in a job, such as ward_1/film.
      poses: the poses of its frames, as predicted.
      facts: of the video and its prediction.
    """

    name: str
    poses: Poses
    facts: Facts

    @property
    def keypoint_set(self) -> KeypointSet:
        """Returns the names of the K keypoints and their relations."""
        return self.poses.keypoint_set

    @property
    def time(self) -> np.ndarray:
        """Returns [T] seconds since the first frame, rising from frame to frame."""
        return self.poses.times

    @functools.cached_property
    def position(self) -> np.ndarray:
        """[T, P, K, 2] x and y in pixels of the displayed frame, pixel centres at integers; NaN without a pose."""
        return self._by_person(self.poses.keypoints[..., :2])

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """[T, P, K] scores of the network; NaN without a pose."""
        return self._by_person(self.poses.keypoints[..., 2])

    @property
    def frame_rate(self) -> float:
        """Returns the frames per second by the median time between frames; NaN for fewer than two frames."""
        return float(1 / np.median(np.diff(self.time))) if len(self.time) > 1 else math.nan

    def _by_person(self, values: np.ndarray) -> np.ndarray:
        """Returns values [N, K, …] of the N poses as [T, P, K, …]."""
        persons = int(self.poses.person.max(initial=0)) + 1
        array = np.full((len(self.time), persons, *values.shape[1:]), np.nan)
        array[self.poses.row, self.poses.person] = values
        return array


def write_facts(facts: Facts, poses: Poses, folder: pathlib.Path) -> None:
    """Writes video.json, with the keypoint set of the poses and their frame rates, beside keypoints.csv."""
    rates = np.sort(1 / np.diff(poses.times))
    median, lowest, highest = (np.median(rates), rates[0], rates[-1]) if len(rates) else (None, None, None)
    content = {
        "video": facts.video,
        "frame_size": {"width": facts.width, "height": facts.height},
        "rotation": facts.rotation,
        "frames_per_second": {
            "header": facts.header_rate,
            "median": median,
            "lowest": lowest,
            "highest": highest,
        },
        "frames": {"promised": facts.promised, "decoded": facts.decoded, "errors": facts.errors},
        "software": facts.software,
        "network": facts.network,
        "boxes": facts.boxes,
        "second_infant": {"searched": facts.searched, "found": facts.second},
        "keypoint_set": keypoint_files.to_fields(poses.keypoint_set),
    }
    io.write_json(folder / FACTS, content, indent=1)


def find_recordings(results: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of the recordings in a folder of results of `predict`, or that folder itself.

    Raises:
      UserError: it has no recording.
    """
    if not results.is_dir():
        raise UserError(f"{results} is no folder; give the folder that predict wrote")
    found = {path.parent for path in results.rglob(FACTS)}
    folders = sorted((path for path in found if not path.name.startswith(PARTIAL)), key=io.natural_order)
    if not folders:
        raise UserError(f"{results} has no recording ({FACTS}); predict videos with this version of aggpose_jax")
    return folders


def read(folder: pathlib.Path, name: str | None = None) -> Recording:
    """Reads a recording from its folder.

    Args:
      folder: has keypoints.csv and video.json.
      name: of the recording; None takes that of the folder.

    Raises:
      UserError: a file is missing or damaged, or the times of the frames do not rise.
    """
    content = io.read_json(folder / FACTS)
    facts, keypoint_set = _parse(content, folder / FACTS)
    poses = tidy.read(folder / TABLE, keypoint_set)
    _check(poses, folder / TABLE)
    return Recording(name or folder.name, poses, facts)


def _parse(content: Any, path: pathlib.Path) -> tuple[Facts, KeypointSet]:
    try:
        size, frames = content["frame_size"], content["frames"]
        facts = Facts(
            video=str(content["video"]),
            width=int(size["width"]),
            height=int(size["height"]),
            rotation=int(content["rotation"]),
            header_rate=float(content["frames_per_second"]["header"]),
            promised=int(frames["promised"]),
            decoded=int(frames["decoded"]),
            errors=int(frames["errors"]),
            software=str(content["software"]),
            network=str(content["network"]),
            boxes=str(content["boxes"]),
            searched=int(content["second_infant"]["searched"]),
            second=int(content["second_infant"]["found"]),
        )
        return facts, find_keypoint_set(json.dumps(dict(content["keypoint_set"])))
    except (KeyError, TypeError, ValueError, OverflowError, UserError) as error:
        raise UserError(f"{path} is damaged ({error!r}); predict the video again") from error


def _check(poses: Poses, path: pathlib.Path) -> None:
    if not len(poses.times):
        raise UserError(f"{path} has no frame; predict the video again")
    if not np.isfinite(poses.times).all() or (np.diff(poses.times) <= 0).any():
        at = int(np.argmax(~(np.diff(poses.times) > 0))) + 1
        raise UserError(f"{path}: the times do not rise at frame {poses.numbers[at]}; restore the table of predict")
    if np.isinf(poses.keypoints).any():
        raise UserError(f"{path}: a keypoint is at an infinite place; restore the table of predict")
    if (np.diff(poses.numbers) <= 0).any():
        raise UserError(f"{path}: the frames are not in order; restore the table of predict")
