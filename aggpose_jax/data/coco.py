"""Records of persons from a data set in the COCO keypoint format, with annotated or detected boxes."""

import pathlib
from typing import NamedTuple

import numpy as np

from aggpose_jax.data.annotations import PERSON, read_annotations, read_detections
from aggpose_jax.data.images import ImageError, read_annotated_image
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.pose.keypoints import KeypointSet

OPTIONAL_FIELDS = ("video_id", "frame")  # fields of an image that its records get as well, where the image has them


class _Persons(NamedTuple):
    """The N persons of a data source as arrays of N rows; `image` [N] indexes the list `images` of the file."""

    image: np.ndarray
    id: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    area: np.ndarray
    score: np.ndarray


class CocoKeypoints:
    """A source of records, one per person, from DIR/annotations/person_keypoints_SPLIT.json and DIR/SPLIT/.

    Annotated persons are in the order of the file, with boxes clipped to the image. Crowds and persons without a
    labelled keypoint are excluded; `with_counted_keypoints` defines which keypoints count in training, in evaluation
    and in pictures. With detections, the records are the detected persons instead, with their scores, their boxes as
    detected, and keypoints that are all zero.

    A record has image (a path), size (height, width, for which the annotations are), box [4] xywh, keypoints [K, 3],
    image_id, id, area, score and, where the image of the file has them, video_id and frame.

    Args:
      directory: DIR, which contains the annotations and images.
      split: name of the split, such as "val2017".
      keypoint_set: the set of the K annotated keypoints.
      detections: path of COCO detection results (JSON). Persons of any score in images of the split are used, all other
        entries are ignored. None uses the annotated persons.
      category: name of the category of the persons; empty for the one that has the keypoints of the set.

    Raises:
      UserError: a file is missing or invalid, or contains no person.
    """

    def __init__(
        self,
        directory: str | pathlib.Path,
        split: str,
        keypoint_set: KeypointSet,
        detections: str | pathlib.Path | None = None,
        category: str = "",
    ):
        self._directory = pathlib.Path(directory)
        self._split = split
        self._keypoint_set = keypoint_set
        self._category = category
        coco = self.ground_truth()
        self._left_out = coco["left_out"]
        self._images = [
            {key: image[key] for key in ("id", "file_name", "height", "width", *OPTIONAL_FIELDS) if key in image}
            for image in coco["images"]
        ]
        if detections is None:
            self._persons = _annotated_persons(coco, keypoint_set)
            if not len(self):
                raise UserError(f"{self._file}: no person has a labelled keypoint in its image; check the annotations")
        else:
            self._persons = _detected_persons(pathlib.Path(detections), coco["images"], keypoint_set)

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
            "size": (image["height"], image["width"]),
            "box": persons.box[index],
            "keypoints": persons.keypoints[index],
            "image_id": image["id"],
            "id": int(persons.id[index]),
            "area": float(persons.area[index]),
            "score": float(persons.score[index]),
            **{key: image[key] for key in OPTIONAL_FIELDS if key in image},
        }

    def file_name(self, record_id: int) -> str:
        """Returns the path, relative to the directory, of the image of the record with this id."""
        return f"{self._split}/{self._images[self._persons.image[self._row(record_id)]]['file_name']}"

    def fault(self, record_id: int) -> str:
        """Returns the reason why the image of the record with this id cannot be read."""
        try:
            record = self[self._row(record_id)]
            read_annotated_image(record["image"], record["size"])
        except ImageError as error:
            return str(error)
        return f"{self.file_name(record_id)} could be read at the second attempt"

    def _row(self, record_id: int) -> int:
        return int(np.flatnonzero(self._persons.id == record_id)[0])

    def _image(self, index: int) -> str | bytes:
        """Returns the image at this index of the images of the file, as `read_image` accepts it: here, its path."""
        return str(self._directory / self._split / self._images[index]["file_name"])

    def _check_layout(self) -> None:
        for path in (self._directory, self._file, self._directory / self._split):
            if not path.exists():
                raise UserError(
                    f"{path} is missing: {self._directory} must contain annotations/{self._file.name} and "
                    f"{self._split}/*.jpg. To try training without data, run "
                    "python -m aggpose_jax.main --config synthetic"
                )

    def counts(self) -> dict[str, int]:
        """Returns the numbers of images with a record, of records (persons) and of labelled keypoints."""
        persons = self._persons
        labelled = int(np.count_nonzero(persons.keypoints[..., 2]))
        counts = {"images": len(np.unique(persons.image)), "persons": len(self), "labelled keypoints": labelled}
        return counts | ({"annotations of other categories left out": self._left_out} if self._left_out else {})

    def ground_truth(self) -> dict:
        """Returns the COCO dict of the split with all annotations including crowds, read from the file at each call.

        Segmentation masks are removed; areas and keypoints are those of `with_counted_keypoints`. `left_out` is the
        number of annotations of other categories.
        """
        self._check_layout()
        coco = read_annotations(self._file, self._keypoint_set.names, self._category)
        sizes = {image["id"]: (image["height"], image["width"]) for image in coco["images"]}
        annotations = [with_counted_keypoints(a, sizes[a["image_id"]]) for a in coco["annotations"]]
        return {**coco, "annotations": annotations}


def with_counted_keypoints(annotation: dict, image_size: tuple[int, int]) -> dict:
    """Returns a copy of a COCO annotation with the labelled keypoints that count in training and evaluation.

    The visibility becomes 0, 1 or 2: below 0 counts as unlabelled, other values as the nearest. An area that is missing
    or 0 is estimated from the labelled keypoints (geometry.estimate_area) or else from the box. No keypoint of a person
    counts whose box lies outside of the image, or that has no area either way. The segmentation mask is removed.

    Args:
      annotation: an entry of the COCO list `annotations`.
      image_size: (height, width) of its image.
    """
    keypoints = np.reshape(np.array(annotation["keypoints"], np.float64), (-1, 3))
    visibility = np.where(keypoints[:, 2] > 0, np.clip(np.round(keypoints[:, 2]), 1, 2), 0)
    if not np.array_equal(visibility, keypoints[:, 2]):
        keypoints[:, 2] = visibility
        annotation = {**annotation, "keypoints": keypoints.ravel().tolist()}
    width, height = annotation["bbox"][2:]
    area = annotation.get("area") or geometry.estimate_area(keypoints) or geometry.PERSON_AREA_RATIO * width * height
    if visibility.any() and (area == 0 or geometry.clip_box(annotation["bbox"], image_size) is None):
        keypoints[:, 2] = 0
        annotation = {**annotation, "keypoints": keypoints.ravel().tolist()}
    kept = {key: value for key, value in annotation.items() if key != "segmentation"}
    return {**kept, "area": area, "num_keypoints": int(np.count_nonzero(keypoints[:, 2]))}


def _annotated_persons(coco: dict, keypoint_set: KeypointSet) -> _Persons:
    index = {image["id"]: i for i, image in enumerate(coco["images"])}
    rows = []
    for annotation in coco["annotations"]:
        image = index[annotation["image_id"]]
        size = coco["images"][image]["height"], coco["images"][image]["width"]
        box = geometry.clip_box(annotation["bbox"], size)
        if not annotation.get("iscrowd") and annotation["num_keypoints"]:
            rows.append((image, annotation["id"], box, annotation["keypoints"], annotation["area"], 1.0))
    return _columns(rows, keypoint_set)


def _detected_persons(path: pathlib.Path, images: list[dict], keypoint_set: KeypointSet) -> _Persons:
    detections = read_detections(path)
    index = {image["id"]: i for i, image in enumerate(images)}
    unlabelled = np.zeros((len(keypoint_set), 3))
    rows = [
        (
            index[person["image_id"]],
            i,
            person["bbox"],
            unlabelled,
            person["bbox"][2] * person["bbox"][3],
            person["score"],
        )
        for i, person in enumerate(detections)
        if person["category_id"] == PERSON and person["image_id"] in index
    ]
    if not rows:
        raise UserError(
            f"{path} has no person (category_id {PERSON}) in an image of the split; check the file and the split"
        )
    return _columns(rows, keypoint_set)


def _columns(rows: list[tuple], keypoint_set: KeypointSet) -> _Persons:
    image, ids, box, keypoints, area, score = zip(*rows, strict=True) if rows else [()] * 6
    return _Persons(
        image=np.array(image, np.int64),
        id=np.array(ids, np.int64),
        box=np.array(box, np.float32).reshape(-1, 4),
        keypoints=np.array(keypoints, np.float32).reshape(-1, len(keypoint_set), 3),
        area=np.array(area, np.float64),
        score=np.array(score, np.float32),
    )
