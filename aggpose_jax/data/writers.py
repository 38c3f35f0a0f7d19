"""Writes records to files: a COCO directory of images, and videos."""

import pathlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aggpose_jax import io
from aggpose_jax.data import videos
from aggpose_jax.data.images import encode_jpeg
from aggpose_jax.data.source import PoseSource
from aggpose_jax.errors import UserError

JPEG_QUALITY = 95


def write_coco(source: PoseSource, directory: pathlib.Path, split: str, threads: int = 2) -> None:
    """Writes DIR/SPLIT/*.jpg and then DIR/annotations/person_keypoints_SPLIT.json, which `coco.CocoKeypoints` reads.

    Args:
      source: records whose `image` is an array uint8 [H, W, 3] RGB, in the order of the images of its ground_truth().
      directory: DIR.
      split: SPLIT.
      threads: number of threads that render and encode images.
    """
    ground_truth = source.ground_truth()
    for image in ground_truth["images"]:
        image["file_name"] = pathlib.Path(image["file_name"]).with_suffix(".jpg").name
    folder = directory / split
    folder.mkdir(parents=True, exist_ok=True)

    def write(index: int) -> None:
        encoded = encode_jpeg(source[index]["image"], JPEG_QUALITY)
        (folder / ground_truth["images"][index]["file_name"]).write_bytes(encoded)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(len(source))))
    io.write_json(directory / "annotations" / f"person_keypoints_{split}.json", ground_truth)


def write_video(frames: Iterable[np.ndarray], path: pathlib.Path, fps: int) -> None:
    """Writes frames uint8 [H, W, 3] RGB at a constant rate as H.264 in MP4, see `videos.write_frames`."""
    videos.write_frames(((number / fps, frame) for number, frame in enumerate(frames)), path)


def new_folder(path: pathlib.Path) -> pathlib.Path:
    """Creates a folder and returns its path. The folder may exist but must be empty.

    Raises:
      UserError: the folder is not empty or cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise UserError(f"{path} cannot be created ({error.strerror}); choose another folder") from error
    if occupied:
        raise UserError(f"{path} holds other files; choose a new folder")
    return path
