"""Persons of a data set in the format of COCO keypoints: annotated ones, or those that a detector found."""

import pathlib
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.annotations import read_annotations, read_detections
from aggpose_jax.data.images import ImageError, read_image
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

PERSON = 1  # category id
CARRIED = ("video_id", "frame")  # what a record takes from its image, where the image has it


class _Persons(NamedTuple):
    """Columns of records; image is the index into the images of the file."""

    image: np.ndarray
    id: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    area: np.ndarray
    score: np.ndarray


class CocoKeypoints:
    """A source of records, one for each person, from DIR/annotations/person_keypoints_SPLIT.json and DIR/SPLIT/.

    Annotated persons come in the order of the file; crowds and persons without an area, a labelled point or a part
    in the image are left out, boxes are clipped to the image. With detections, records are the detected persons
    instead, with their scores and unclipped boxes, without keypoints (all zero).

    A record has image (a path), box [4] xywh, keypoints [K, 3], image_id, id, area, score and, where the image of
    the file has them, video_id and frame.

    Args:
      directory: DIR, that holds annotations and images.
      split: name of the split, such as "val2017".
      keypoint_set: whose K points the annotations have.
      detections: path of COCO detection results (json); only persons in images of the split count, of any score.

    Raises:
      UserError: a file is missing or not what it should be, or there is no person in it.
    """

    def __init__(
        self,
        directory: str | pathlib.Path,
        split: str,
        keypoint_set: KeypointSet,
        detections: str | pathlib.Path | None = None,
    ):
        self._directory = pathlib.Path(directory)
        self._split = split
        self._keypoint_set = keypoint_set
        coco = self.ground_truth()
        self._images = [
            {key: image[key] for key in ("id", "file_name", *CARRIED) if key in image} for image in coco["images"]
        ]
        if detections is None:
            self._persons = _annotated(coco, keypoint_set)
            if not len(self):
                raise UserError(f"{self._file}: no person has a labelled keypoint and an area; check the annotations")
        else:
            self._persons = _detected(pathlib.Path(detections), coco["images"], keypoint_set)

    @property
    def _file(self) -> pathlib.Path:
        return self._directory / "annotations" / f"person_keypoints_{self._split}.json"

    def __len__(self) -> int:
        return len(self._persons.id)

    def __getitem__(self, index: int) -> dict:
        persons = self._persons
        image = self._images[persons.image[index]]
        return {
            "image": self._image(persons.image[index]),
            "box": persons.box[index],
            "keypoints": persons.keypoints[index],
            "image_id": image["id"],
            "id": int(persons.id[index]),
            "area": float(persons.area[index]),
            "score": float(persons.score[index]),
            **{key: image[key] for key in CARRIED if key in image},
        }

    def file_name(self, number: int) -> str:
        """Where the image of the record with this id lies, below the directory."""
        return f"{self._split}/{self._images[self._persons.image[self._row(number)]]['file_name']}"

    def fault(self, number: int) -> str:
        """What keeps the image of the record with this id from being read."""
        try:
            read_image(self[self._row(number)]["image"])
        except ImageError as error:
            return str(error)
        return f"{self.file_name(number)} could be read at the second attempt"

    def _row(self, number: int) -> int:
        return int(np.flatnonzero(self._persons.id == number)[0])

    def _image(self, index: int) -> str:
        """Where the image of this place in the file is."""
        return str(self._directory / self._split / self._images[index]["file_name"])

    def _check_layout(self) -> None:
        for path in (self._directory, self._file, self._directory / self._split):
            if not path.exists():
                raise UserError(
                    f"{path} is missing: {self._directory} must hold annotations/{self._file.name} and "
                    f"{self._split}/*.jpg; python -m aggpose_jax.main --config configs/synthetic.py needs no data"
                )

    def counts(self) -> dict[str, int]:
        """Numbers of images with a record, of records (persons) and of their labelled keypoints."""
        persons = self._persons
        labelled = np.count_nonzero(persons.keypoints[..., 2])
        return {"images": len(np.unique(persons.image)), "persons": len(self), "labelled keypoints": labelled}

    def ground_truth(self) -> dict:
        """The COCO dict of the split with all its annotations, crowds too, read from the file at each call.

        Masks are left out. An annotation without an area gets an estimated one (geometry.estimate_area).
        """
        self._check_layout()
        coco = read_annotations(self._file, len(self._keypoint_set))
        return {**coco, "annotations": [_complete(annotation) for annotation in coco["annotations"]]}


def _complete(annotation: dict) -> dict:
    """The annotation without its mask and with an area."""
    complete = {key: value for key, value in annotation.items() if key != "segmentation"}
    if "area" not in complete:
        complete["area"] = geometry.estimate_area(np.reshape(annotation["keypoints"], (-1, 3)))
    return complete


def _annotated(coco: dict, keypoint_set: KeypointSet) -> _Persons:
    index = {image["id"]: i for i, image in enumerate(coco["images"])}
    rows = []
    for annotation in coco["annotations"]:
        image = index[annotation["image_id"]]
        size = coco["images"][image]["height"], coco["images"][image]["width"]
        box = geometry.clip_box(annotation["bbox"], size)
        counts = not annotation.get("iscrowd") and annotation["area"] > 0 and any(annotation["keypoints"][2::3])
        if counts and box is not None:
            rows.append((image, annotation["id"], box, annotation["keypoints"], annotation["area"], 1.0))
    return _columns(rows, keypoint_set)


def _detected(path: pathlib.Path, images: list[dict], keypoint_set: KeypointSet) -> _Persons:
    detections = read_detections(path)
    index = {image["id"]: i for i, image in enumerate(images)}
    nothing = np.zeros((len(keypoint_set), 3))
    rows = [
        (index[found["image_id"]], number, found["bbox"], nothing, found["bbox"][2] * found["bbox"][3], found["score"])
        for number, found in enumerate(detections)
        if found["category_id"] == PERSON and found["image_id"] in index
    ]
    if not rows:
        raise UserError(f"{path} has no person (category_id {PERSON}) in an image of the split; check file and split")
    return _columns(rows, keypoint_set)


def _columns(rows: list[tuple], keypoint_set: KeypointSet) -> _Persons:
    image, number, box, keypoints, area, score = zip(*rows, strict=True) if rows else [()] * 6
    return _Persons(
        image=np.array(image, np.int64),
        id=np.array(number, np.int64),
        box=np.array(box, np.float32).reshape(-1, 4),
        keypoints=np.array(keypoints, np.float32).reshape(-1, len(keypoint_set), 3),
        area=np.array(area, np.float64),
        score=np.array(score, np.float32),
    )
