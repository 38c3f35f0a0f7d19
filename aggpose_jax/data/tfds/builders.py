"""Builders of the data sets: one record per image, in the order of the annotation file, which is stored beside them.

One record per person would store the image of several persons several times and save hardly any time: 86 persons in
28 images of COCO took 15.8 MB instead of 4.6 MB, and 0.24 instead of 0.26 ms of CPU time per person in random order.
"""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from aggpose_jax import io
from aggpose_jax.data.annotations import read_annotations
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet

ANNOTATIONS = "person_keypoints_{split}.json"
MISSING = -1  # value that is stored as video_id and frame of images without these fields


class _KeypointsBuilder(  # type: ignore[call-arg]  # TensorFlow Datasets has no stubs that declare the argument
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A data set of images with persons, from annotations/person_keypoints_SPLIT.json and SPLIT/ of `manual_dir`."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "give a folder that holds annotations/person_keypoints_SPLIT.json and SPLIT/*.jpg"
    KEYPOINTS: KeypointSet

    def _info(self) -> tfds.core.DatasetInfo:
        count = len(self.KEYPOINTS)
        features = tfds.features.FeaturesDict({
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image_id": np.int64,
            "video_id": np.int64,
            "frame": np.int64,
            "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),  # x, y, width, height in pixels
            "keypoints": tfds.features.Tensor(shape=(None, count, 3), dtype=np.float32),  # x, y, visibility
        })  # fmt: skip
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        directory = pathlib.Path(dl_manager.manual_dir)
        files = sorted((directory / "annotations").glob(ANNOTATIONS.format(split="*")))
        splits = {file.stem.removeprefix("person_keypoints_"): file for file in files}
        return {split: self._generate_examples(file, directory / split) for split, file in splits.items()}

    def _generate_examples(self, file: pathlib.Path, folder: pathlib.Path) -> Iterator[tuple[int, dict]]:
        coco = read_annotations(file, self.KEYPOINTS.names)
        persons: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
        for annotation in coco["annotations"]:
            annotation.pop("segmentation", None)
            persons[annotation["image_id"]].append(annotation)
        for index, image in enumerate(coco["images"]):
            annotations = persons[image["id"]]
            yield (
                index,
                {
                    "image": (folder / image["file_name"]).read_bytes(),
                    "image_id": image["id"],
                    "video_id": _integer(file, image, "video_id"),
                    "frame": _integer(file, image, "frame"),
                    "boxes": np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4),
                    "keypoints": np.array([a["keypoints"] for a in annotations], np.float32).reshape(
                        -1, len(self.KEYPOINTS), 3
                    ),
                },
            )
        io.write_json(pathlib.Path(self.data_dir) / file.name, coco)


def _integer(file: pathlib.Path, image: dict, key: str) -> int:
    """Returns the integer field `key` of an entry of the COCO list `images`; MISSING if the entry does not have it."""
    number = image.get(key, MISSING)
    if type(number) is not int or not -(2**63) <= number < 2**63:
        raise UserError(f"{file}: image {image['id']} has the {key} {number!r:.80}; give a 64-bit integer")
    return number


class InfantPoseBuilder(_KeypointsBuilder):
    """A data set of infants with 21 keypoints (AggPose §4.1) in frames of videos."""

    name = "infant_pose"
    KEYPOINTS = INFANT_21


class CocoKeypointsBuilder(_KeypointsBuilder):
    """A data set of the persons of COCO with 17 keypoints."""

    name = "coco_keypoints"
    KEYPOINTS = COCO_17
