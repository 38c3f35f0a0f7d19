"""Sources of person boxes: fixed boxes, a detections file, or none, in which case one infant is searched for."""

import dataclasses
import pathlib

import numpy as np

from aggpose_jax.data.annotations import read_detections
from aggpose_jax.data.coco import PERSON
from aggpose_jax.data.videos import VideoFrame
from aggpose_jax.errors import UserError
from aggpose_jax.inference import frame_poses
from aggpose_jax.inference.predictor import check_boxes
from aggpose_jax.inference.results import image_numbers
from aggpose_jax.inference.sources import Source


@dataclasses.dataclass(frozen=True)
class BoxSource:
    """Where the person boxes come from. Without any of them, infants are searched for in the full image.

    Attributes:
      boxes: P boxes (x, y, width, height) in pixels that are used in every frame; empty to use another option.
      detections: file of COCO detection results, or a folder with VIDEO.json for each video; None for no file.
      whole: use the full image as the box. Takes precedence over `boxes`, and `boxes` over `detections`.
      persons: number of infants that are searched for and tracked without any of these.
    """

    boxes: tuple[tuple[float, ...], ...] = ()
    detections: pathlib.Path | None = None
    whole: bool = False
    persons: int = 1

    @property
    def settings(self) -> dict[str, object]:
        """Returns the options for the manifest of a job, without the number of persons if it is 1."""
        fields = dataclasses.asdict(self)
        return fields if self.persons > 1 else {key: fields[key] for key in fields if key != "persons"}

    @property
    def kind(self) -> str:
        """Returns what the boxes are, as recordings state it."""
        if self.whole:
            return "full image"
        return "fixed boxes" if self.boxes else "detections" if self.detections else "tracking"

    def boxes_of(self, source: Source) -> frame_poses.Boxes | None:
        """Returns a function from a frame of a source to its boxes, or None to search for one infant.

        Raises:
          UserError: the detections file of the source does not exist.
        """
        if self.whole:
            return frame_poses.full_image
        if self.boxes:
            return _checked(source, lambda frame: np.array(self.boxes))
        return _checked(source, _detected(self.detections, source)) if self.detections else None


def _checked(source: Source, boxes: frame_poses.Boxes) -> frame_poses.Boxes:
    """Returns a function from a frame to its checked boxes; its errors name the image, or the video and frame."""

    def checked(frame: VideoFrame) -> np.ndarray:
        try:
            return check_boxes(boxes(frame), frame.image.shape[:2])
        except UserError as error:
            place = source.paths[frame.index] if source.files else f"{source.paths[0]}, frame {frame.index}"
            raise UserError(f"{place}: {error}") from None

    return checked


def _detected(path: pathlib.Path, source: Source) -> frame_poses.Boxes:
    """Returns a function from a frame to the person boxes of a detections file.

    The `image_id` of a detection is the number of the video frame, from 0, or the number of the image; a `file_name`
    identifies an image as well.
    """
    file = path / f"{source.name}.json" if path.is_dir() else path
    boxes: dict[int | str, list] = {}
    for entry in read_detections(file):
        if entry["category_id"] == PERSON:
            boxes.setdefault(entry.get("file_name", entry["image_id"]), []).append(entry["bbox"])
    numbers = image_numbers(source.files)

    def boxes_of_frame(frame: VideoFrame) -> np.ndarray:
        keys = (source.files[frame.index], numbers[frame.index]) if source.files else (frame.index,)
        return np.array([box for key in keys for box in boxes.get(key, ())], np.float64).reshape(-1, 4)

    return boxes_of_frame
