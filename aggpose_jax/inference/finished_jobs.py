"""Reads back the results of finished batch jobs: the poses of each video, and where its file is."""

import pathlib
from typing import NamedTuple

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.inference import manifests
from aggpose_jax.pose.keypoint_files import known_set, set_of_names
from aggpose_jax.pose.keypoints import COCO_17, INFANT_21, KeypointSet
from aggpose_jax.recordings import coco, tidy
from aggpose_jax.recordings.poses import Poses


class FinishedSource(NamedTuple):
    """The results of a video, or of all images of a job.

    Attributes:
      name: name of the folder of its results inside the job's folder.
      paths: path of the video, or paths of the images.
      poses: the poses; `poses.files` has names of images if it is not a video.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    poses: Poses

    @property
    def is_video(self) -> bool:
        """True for a video, false for images."""
        return not self.poses.files


def read_job(folder: pathlib.Path, keypoint_set: KeypointSet | None = None) -> list[FinishedSource]:
    """Reads the results of a job, or of one of its videos.

    Args:
      folder: the folder that `aggpose predict` wrote, or the folder of a video in it.
      keypoint_set: names of the keypoints; None takes those of keypoints.csv, or without it the set of this package
        that has as many.

    Raises:
      UserError: the folder has no finished results, or they cannot be read.
    """
    root, prefix = _find_manifest(folder)
    found = []
    for name, entry in manifests.merge(map(manifests.read, manifests.find(root))).done.items():
        if prefix in ("", name) or name.startswith(f"{prefix}/"):
            try:
                paths = tuple(pathlib.Path(path) for path, *_ in entry["source"])
            except (TypeError, KeyError, ValueError) as error:
                raise UserError(f"{root}: its manifest is damaged at {name} ({error}); predict it again") from error
            found.append(FinishedSource(name, paths, _read_poses(root / name, keypoint_set)))
    if not found:
        raise UserError(f"{folder} has no finished results; run predict to its end")
    return found


def _find_manifest(folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Returns the folder of the job, and the relative path of the given folder in it, "" for the job itself."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the folder that predict wrote")
    for root in (folder, *folder.resolve().parents):
        if manifests.find(root):
            relative = "" if root == folder else folder.resolve().relative_to(root).as_posix()
            return root, relative
    raise UserError(f"{folder} has no manifest.json; give the folder that predict wrote")


def _read_poses(folder: pathlib.Path, keypoint_set: KeypointSet | None) -> Poses:
    table, results = folder / "keypoints.csv", folder / "keypoints.json"
    if table.exists():
        return tidy.read(table, keypoint_set or _set_of_table(table))
    if not results.exists():
        raise UserError(f"{folder} has neither {table.name} nor {results.name}; predict with --formats csv")
    return coco.read(results, keypoint_set or _set_of_results(results))


def _set_of_table(table: pathlib.Path) -> KeypointSet:
    names = tidy.keypoint_names(table)
    if not names:  # No frame has a pose, so that any set will do.
        return INFANT_21
    known = known_set(names)
    return known if known and known.names == names else set_of_names(names, "keypoints")


def _set_of_results(results: pathlib.Path) -> KeypointSet:
    entries = io.read_json(results)
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    count = len(first.get("keypoints", ())) // 3
    for known in (INFANT_21, COCO_17):
        if count in (0, len(known)):
            return known
    raise UserError(
        f"{results} does not name its {count} keypoints; give --keypoint-set, or predict with --formats csv"
    )
