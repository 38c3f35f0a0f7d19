"""Builds and reads keypoint data sets of TensorFlow Datasets, without TensorFlow: a split is stored in a few files."""

import hashlib
import pathlib
import shutil

import tensorflow_datasets as tfds

from aggpose_jax import io
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.tfds.builders import ANNOTATIONS, CocoKeypointsBuilder, InfantPoseBuilder
from aggpose_jax.errors import UserError
from aggpose_jax.pose.keypoints import KeypointSet

SOURCE = "source.sha256"  # file of a built data set with the digest of the COCO directory that it was built from
BUILDERS = {builder.name: builder for builder in (InfantPoseBuilder, CocoKeypointsBuilder)}


def build(name: str, manual_dir: pathlib.Path, data_dir: pathlib.Path) -> pathlib.Path:
    """Builds a data set of BUILDERS from a COCO directory, unless it is already built from it, and returns its folder.

    If the annotations or images have changed since, it is built anew.

    Args:
      name: name of the data set, a key of BUILDERS.
      manual_dir: COCO directory with annotations/person_keypoints_SPLIT.json and SPLIT/ of each split.
      data_dir: folder in which NAME/VERSION/ is written.

    Returns:
      The folder of the data set, NAME/VERSION/ in `data_dir`.

    Raises:
      UserError: the COCO directory has no annotations, or invalid ones.
    """
    builder = BUILDERS[name](data_dir=data_dir, file_format="array_record")
    if not any((manual_dir / "annotations").glob("person_keypoints_*.json")):
        raise UserError(
            f"{manual_dir} holds no annotations/person_keypoints_*.json; {builder.MANUAL_DOWNLOAD_INSTRUCTIONS}"
        )
    folder, now = pathlib.Path(builder.data_dir), _fingerprint(manual_dir)
    if folder.exists() and _stored_fingerprint(folder) != now:
        shutil.rmtree(folder)
        builder = BUILDERS[name](data_dir=data_dir, file_format="array_record")
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    io.write_text(folder / SOURCE, now)
    return folder


def _fingerprint(directory: pathlib.Path) -> str:
    """Returns a digest of the annotation files of a COCO directory, and of names, sizes and times of its images."""
    digest = hashlib.sha256()
    for file in sorted((directory / "annotations").glob("person_keypoints_*.json")):
        digest.update(file.name.encode() + file.read_bytes())
        folder = directory / file.stem.removeprefix("person_keypoints_")
        for image in sorted(path for path in folder.rglob("*") if path.is_file()):
            facts = (image.relative_to(folder).as_posix(), image.stat().st_size, image.stat().st_mtime_ns)
            digest.update(repr(facts).encode())
    return digest.hexdigest()


def _stored_fingerprint(folder: pathlib.Path) -> str | None:
    file = folder / SOURCE
    return file.read_text(encoding="utf-8") if file.exists() else None


class TfdsKeypoints(CocoKeypoints):
    """A source of the records of `CocoKeypoints`, read from a built data set; `image` is the bytes of an image file.

    Args:
      name: name of the data set, a key of BUILDERS.
      data_dir: folder in which the data set was built.
      split, keypoint_set, detections, category: see `CocoKeypoints`.

    Raises:
      UserError: the data set is not built, or has no such split.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | pathlib.Path,
        split: str,
        keypoint_set: KeypointSet,
        detections: str | pathlib.Path | None = None,
        category: str = "",
    ):
        builder = BUILDERS[name](data_dir=data_dir, file_format="array_record")
        if split not in builder.info.splits:
            raise UserError(
                f"{builder.data_dir}: split {split} of {name} is not built; "
                f"run python -m aggpose_jax.prepare tfds {name} --manual-dir COCO_DIRECTORY --data-dir {data_dir}"
            )
        self._records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        super().__init__(builder.data_dir, split, keypoint_set, detections, category)

    @property
    def _file(self) -> pathlib.Path:
        return self._directory / ANNOTATIONS.format(split=self._split)

    def _check_layout(self) -> None:
        """Does nothing, because opening the data set has already checked its files."""

    def _image(self, index: int) -> bytes:
        return self._records[index]["image"]
