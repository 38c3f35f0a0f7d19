"""Where persons are: in boxes that somebody gives, or anywhere."""

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
    """Where persons are: in given boxes of every frame, in those of a detections file, or one infant anywhere.

    Attributes:
      boxes: [P][4] for every frame; empty to use the others.
      detections: file of COCO detection results, or a folder with VIDEO.json for each video.
      whole: the box is the whole picture.
    """

    boxes: tuple[tuple[float, ...], ...] = ()
    detections: pathlib.Path | None = None
    whole: bool = False

    def of(self, source: Source) -> frame_poses.Boxes | None:
        """Boxes of the frames of a source; None to look for one infant.

        Raises:
          UserError: there is no file of detections for it.
        """
        if self.whole:
            return frame_poses.whole
        if self.boxes:
            return _checked(source, lambda frame: np.array(self.boxes))
        return _checked(source, _detected(self.detections, source)) if self.detections else None


def _checked(source: Source, boxes: frame_poses.Boxes) -> frame_poses.Boxes:
    """The same boxes; one without size or outside of its picture is told with its place."""

    def checked(frame: VideoFrame) -> np.ndarray:
        try:
            return check_boxes(boxes(frame), frame.image.shape[:2])
        except UserError as error:
            place = source.paths[frame.index] if source.files else f"{source.paths[0]}, frame {frame.index}"
            raise UserError(f"{place}: {error}") from None

    return checked


def _detected(path: pathlib.Path, source: Source) -> frame_poses.Boxes:
    """Boxes by frame of a file of detections.

    An entry's `image_id` is the number of the frame, from 0, or of the image; `file_name` names an image, too.
    """
    file = path / f"{source.name}.json" if path.is_dir() else path
    boxes: dict[int | str, list] = {}
    for entry in read_detections(file):
        if entry["category_id"] == PERSON:
            boxes.setdefault(entry.get("file_name", entry["image_id"]), []).append(entry["bbox"])
    numbers = image_numbers(source.files)

    def of(frame: VideoFrame) -> np.ndarray:
        keys = (source.files[frame.index], numbers[frame.index]) if source.files else (frame.index,)
        return np.array([box for key in keys for box in boxes.get(key, ())], np.float64).reshape(-1, 4)

    return of
