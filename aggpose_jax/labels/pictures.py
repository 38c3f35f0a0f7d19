"""Writes the images that labels belong to: copies of files, and frames of videos as PNG."""

import pathlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from aggpose_jax import io
from aggpose_jax.data import videos
from aggpose_jax.data.images import SUFFIXES, ImageError, read_annotated_image, read_image
from aggpose_jax.errors import UserError
from aggpose_jax.labels.label_set import LabelledImage, LabelSet

ORIENTATION = 0x0112  # EXIF tag; 1 is upright as stored


class Picture(NamedTuple):
    """Where the pixels of a labelled image come from.

    Attributes:
      path: an image or video file.
      frame: number of the frame of a video, from 0; None for an image.
      upright: the labels are for the image rotated by its EXIF orientation, as viewers show it.
    """

    path: pathlib.Path
    frame: int | None = None
    upright: bool = False


def place(
    labels: LabelSet, pictures: Mapping[str, Picture], folder: pathlib.Path, is_project: bool, failures: list[str]
) -> LabelSet:
    """Writes the images of labels to a folder, and returns the labels of those that could be written.

    The images of the result have the files and sizes that were written.

    Args:
      labels: labelled images.
      pictures: where the pixels of each come from, by file.
      folder: the folder.
      is_project: see `name_files`.
      failures: list to which a message for each image that is missing or damaged is appended.
    """
    named = name_files(labels.images, pictures, is_project)
    sizes = write_pictures(labels.images, pictures, named, folder, failures)
    images = tuple(
        image._replace(file=named[image.file], size=sizes[image.file]) for image in labels.images if image.file in sizes
    )
    return labels._replace(images=images, folder=folder)


def name_files(images: Sequence[LabelledImage], pictures: Mapping[str, Picture], is_project: bool) -> dict[str, str]:
    """Returns the file that each image is written to, by its present file; all differ.

    Frames of videos become VIDEO_frameNNNNNN.png; other images keep their names, or become PNG if they have
    an EXIF orientation, by which annotation tools would rotate them, or a format that few tools read.

    Args:
      images: the images.
      pictures: where the pixels of each come from, by file.
      is_project: in projects of DeepLabCut, images are VIDEO/imgNNNNNN.png, or VIDEO/NAME.png without a frame number.
    """
    named: dict[str, str] = {}
    taken: set[str] = set()
    for image in images:
        picture, fields = pictures[image.file], image.fields
        path = pathlib.PurePosixPath(image.file)
        video, frame = _as_file_name(str(fields.get("video_id", "images"))), fields.get("frame")
        if is_project:
            stem = f"img{frame:06}" if isinstance(frame, int) else _as_file_name(path.with_suffix("").as_posix())
            name = f"{video}/{stem}.png"
        elif picture.frame is not None:
            name = f"{video}_frame{picture.frame:06}.png"
        elif _is_copied(picture, path.as_posix()):
            name = path.as_posix()
        else:
            name = path.with_suffix(".png").as_posix()
        named[image.file] = _unique(name, taken)
    return named


def _as_file_name(text: str) -> str:
    return io.shorten(re.sub(r"[^\w.-]+", "_", text).strip(".") or "_", 100)


def _unique(name: str, taken: set[str]) -> str:
    """Returns a name that is not taken, in any case of its letters, by adding a number, and takes it."""
    path = pathlib.PurePosixPath(name)
    number = 1
    while name.lower() in taken:
        number += 1
        name = path.with_stem(f"{path.stem}_{number}").as_posix()
    taken.add(name.lower())
    return name


def _is_copied(picture: Picture, name: str) -> bool:
    """Returns whether an image file can be copied, because all programs see it as its labels do."""
    if pathlib.PurePosixPath(name).suffix.lower() not in SUFFIXES[:4]:
        return False
    try:
        with Image.open(picture.path) as image:
            return image.getexif().get(ORIENTATION, 1) == 1
    except (OSError, ValueError, SyntaxError):
        return True  # The error is reported when the image is written.


def write_pictures(
    images: Sequence[LabelledImage],
    pictures: Mapping[str, Picture],
    named: Mapping[str, str],
    folder: pathlib.Path,
    failures: list[str],
) -> dict[str, tuple[int, int]]:
    """Writes images to a folder and returns the (height, width) of each that was written, by its present file.

    Args:
      images: the images; a stated size is checked.
      pictures: where the pixels of each come from, by its present file.
      named: the file of each in the folder, by its present file.
      folder: the folder.
      failures: list to which a message for each image that is missing or damaged is appended.
    """
    sizes = {}
    frames: dict[pathlib.Path, dict[int, LabelledImage]] = {}
    for image in images:
        picture = pictures[image.file]
        if picture.frame is not None:
            frames.setdefault(picture.path, {})[picture.frame] = image
            continue
        try:
            sizes[image.file] = _write_image(picture, image.size, folder / named[image.file])
        except ImageError as error:
            failures.append(str(error))
    for path, wanted in frames.items():
        try:
            for frame in selected_frames(path, wanted):
                image = wanted.pop(frame.index)
                write_png(frame.image, folder / named[image.file])
                sizes[image.file] = frame.image.shape[:2]
        except videos.VideoError as error:
            failures.append(str(error))
        else:
            failures += [f"{path} has no frame {number}; predict it again" for number in wanted]
    return sizes


def _write_image(picture: Picture, size: tuple[int, int] | None, target: pathlib.Path) -> tuple[int, int]:
    """Writes an image file, as a copy if it has the same suffix, and returns its (height, width)."""
    if picture.upright:
        pixels = read_image(picture.path, upright=True)
        if size not in (None, pixels.shape[:2]):
            raise ImageError(f"{picture.path} is {pixels.shape[1]} × {pixels.shape[0]} pixels, but its labels say "
                             f"{size[1]} × {size[0]}; replace the image")  # fmt: skip
    else:
        pixels, _ = read_annotated_image(picture.path, size)
    if target.suffix == picture.path.suffix and _is_copied(picture, target.name):
        copy_file(picture.path, target)
    else:
        write_png(pixels, target)
    return pixels.shape[:2]


def selected_frames(path: pathlib.Path, numbers: Iterable[int]) -> Iterator[videos.VideoFrame]:
    """Yields the frames of a video with these numbers, of those that it has, in order.

    Raises:
      VideoError: see `videos.read_frames`.
    """
    count, remaining = -1, set(numbers)

    def is_selected(seconds: float) -> bool:
        nonlocal count
        count += 1
        return count in remaining

    for frame in videos.read_frames(path, is_selected):
        yield frame
        remaining.discard(frame.index)
        if not remaining:
            return


def write_png(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes an image uint8 [H, W, 3] RGB as a PNG file."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.tobytes())


def copy_file(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file; missing folders are made.

    Raises:
      UserError: the target cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}); choose another --out") from error
