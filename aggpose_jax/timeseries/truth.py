"""The true keypoints of a film, beside the recording that a network made of it."""

import dataclasses
import pathlib

import numpy as np

from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoint_files import plain
from aggpose_jax.recordings.recording import Recording
from aggpose_jax.timeseries import torso

TRACKING = "tracking"  # the boxes of a calibration, see `recording.Facts`: those by which users predict


@dataclasses.dataclass(frozen=True)
class Film:
    """A film of one infant whose true keypoints are known: T frames, K keypoints.

    Attributes:
      recording: what the network found, of one person.
      truth: [T, 1, K, 2] true x and y in pixels; NaN where not labelled. Hidden keypoints are labelled.
      infant: name of the infant.
      length: the true torso length of the film in pixels.
    """

    recording: Recording
    truth: np.ndarray
    infant: str
    length: float

    @property
    def offset(self) -> np.ndarray:
        """Returns [T, K, 2] predicted − true x and y in torso lengths; NaN without a pose or a label."""
        return (self.recording.position[:, 0] - self.truth[:, 0]) / self.length

    @property
    def confidence(self) -> np.ndarray:
        """Returns the [T, K] scores of the network; NaN without a pose."""
        return self.recording.confidence[:, 0]


def match(recording: Recording, file: pathlib.Path) -> Film:
    """Returns a recording with the true keypoints of its frames.

    Args:
      recording: of one tracked person.
      file: COCO keypoint annotations of the film: one image for each frame, whose number is its field `frame`, or its
        id without one. The infant is `infant_id` of the images; without it the film is an infant of its own. Keypoints
        are matched by name.

    Raises:
      UserError: the recording cannot be used for calibration, or the file is missing, damaged or that of another film.
        The message names the recording or the file.
    """
    _check(recording)
    coco = read_annotations(file)
    truth = _positions(coco, recording, file)
    length = float(torso.of_film(truth, recording.keypoint_set).length[0])
    if not length > 0:
        raise UserError(f"{file} has no frame with both shoulders and hips, whose distance is the unit; label them")
    infants = {str(image["infant_id"]) for image in coco["images"] if image.get("infant_id") is not None}
    if len(infants) > 1:
        raise UserError(f"{file} shows several infants; give films of one infant each")
    return Film(recording, truth, infants.pop() if infants else recording.name, length)


def _check(recording: Recording) -> None:
    """Raises a UserError if a recording cannot be used for calibration."""
    if recording.facts.boxes != TRACKING or recording.position.shape[1] != 1:
        raise UserError(
            f"{recording.name} is not of one tracked infant; predict it without --box, --boxes, --whole and --persons"
        )
    if torso.corners(recording.keypoint_set) is None:
        raise UserError(
            f"{recording.name} has no torso, the unit of errors; use a keypoint set with {', '.join(torso.CORNERS)}"
        )
    if not np.isfinite(recording.position).any():
        raise UserError(f"{recording.name} has no pose at all; leave the film out")


def _positions(coco: dict, recording: Recording, file: pathlib.Path) -> np.ndarray:
    """Returns the true positions [T, 1, K, 2] in the frames of a recording."""
    # As text, since a file may hold anything.
    frames = {image["id"]: str(image.get("frame", image["id"])) for image in coco["images"]}
    row = {str(number): i for i, number in enumerate(recording.poses.numbers)}
    if set(frames.values()) != row.keys() or len(frames) != len(row):
        raise UserError(
            f"{file} has {len(frames)} frames, which are not the {len(row)} of {recording.name}; give its own truth"
        )
    order = _order(coco, recording, file)
    result = np.full((len(row), 1, len(order), 2), np.nan)
    labelled: set[int] = set()
    for annotation in coco["annotations"]:
        points = np.reshape(annotation["keypoints"], (-1, 3)).astype(np.float64)
        if annotation.get("iscrowd") or not points[:, 2].any():
            continue
        image = annotation["image_id"]
        if image in labelled or len(points) <= max(order):
            raise UserError(f"{file}: frame {frames[image]} has not the keypoints of one infant; give films of one")
        labelled.add(image)
        points = points[order]
        result[row[frames[image]], 0] = np.where(points[:, 2:] > 0, points[:, :2], np.nan)
    return result


def _order(coco: dict, recording: Recording, file: pathlib.Path) -> list[int]:
    """Returns the index in the file of each keypoint of a recording."""
    wanted = [plain(name) for name in recording.keypoint_set.names]
    categories = coco.get("categories")
    for category in categories if isinstance(categories, list) else []:
        listed = category.get("keypoints") if isinstance(category, dict) else None
        names = [plain(name) for name in listed] if isinstance(listed, list) else []
        if set(wanted) <= set(names):
            return [names.index(name) for name in wanted]
    raise UserError(f"{file} has no category with the keypoints of {recording.name}; give the names of its keypoints")
