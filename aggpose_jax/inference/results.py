"""Writes the results of one video or one set of images: poses in the chosen formats, an overlay, a contact sheet."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from aggpose_jax import io
from aggpose_jax.data.videos import write_frames
from aggpose_jax.inference.contact_sheet import ContactSheet
from aggpose_jax.inference.frame_poses import FramePoses
from aggpose_jax.inference.media import caption, draw_frame, frame_score, is_lost, label_frame, write_jpeg
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.formats import write_poses
from aggpose_jax.recordings.poses import Poses, collect

NO_IMAGE = np.zeros((0, 0, 3), np.uint8)  # in place of the images of frames whose poses are kept
MAX_NUMBER = 2**53  # Smaller integers are exact as floating-point numbers, which many readers of JSON use.


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """Which results are written.

    Attributes:
      formats: file formats of the keypoints, names from recordings.formats.NAMES.
      overlay: write images with skeletons, and a contact sheet of some of them.
      mosaic: replace heads by a mosaic in all written images.
    """

    formats: tuple[str, ...] = ("coco", "csv")
    overlay: bool = True
    mosaic: bool = False


def write_video_results(
    frame_poses: Iterable[FramePoses],
    folder: pathlib.Path,
    stem: str,
    keypoint_set: KeypointSet,
    options: OutputOptions,
):
    """Writes the results of one video and returns its poses. The files are keypoints.*, overlay.mp4 and sheet.jpg.

    keypoints.csv is always among them, since a recording is read back from it. The overlay starts at 0 s even if the
    frames are a later part of a video.

    Args:
      frame_poses: frames of the video in order, with their poses.
      folder: folder of the files.
      stem: name of the video without its suffix, for file formats whose file names contain it.
      keypoint_set: names of the keypoints.
      options: which results are written.
    """
    collected: list[FramePoses] = []
    sheet = ContactSheet()

    def overlays() -> Iterator[tuple[float, np.ndarray]]:
        for item in frame_poses:
            collected.append(item._replace(frame=item.frame._replace(image=NO_IMAGE)))
            if options.overlay:
                image = _overlay(item, item.frame.index, keypoint_set, options, sheet)
                yield item.frame.seconds - collected[0].frame.seconds, image

    if options.overlay:
        write_frames(overlays(), folder / "overlay.mp4")
        write_jpeg(sheet.draw(), folder / "sheet.jpg")
    else:
        list(overlays())
    poses = collect(
        keypoint_set,
        [item.frame.seconds for item in collected],
        [item.poses for item in collected],
        [item.frame.index for item in collected],
        persons=[list(range(len(item.poses)) if item.persons is None else item.persons) for item in collected],
    )
    write_poses(poses, folder, stem, ("csv", *options.formats))
    return poses


def write_image_results(
    frame_poses: Iterable[FramePoses],
    folder: pathlib.Path,
    files: Sequence[str],
    keypoint_set: KeypointSet,
    options: OutputOptions,
) -> Poses:
    """Writes the results of images and returns their poses. The files are keypoints.*, overlay/FILE.jpg and sheet.jpg.

    Args:
      frame_poses: images with their poses. The index of a frame is its position in `files`; unreadable images are
        missing.
      folder: folder of the files.
      files: names of all images.
      keypoint_set: names of the keypoints.
      options: which results are written.
    """
    found, indices = [], []
    numbers, sheet = image_numbers(files), ContactSheet()
    for item in frame_poses:
        found.append(item.poses)
        indices.append(item.frame.index)
        if options.overlay:
            image = _overlay(item, numbers[item.frame.index], keypoint_set, options, sheet)
            file = pathlib.PurePath(files[item.frame.index])
            write_jpeg(image, folder / "overlay" / file.with_name(f"{io.shorten(file.name)}.jpg"))
    if options.overlay and found:
        write_jpeg(sheet.draw(), folder / "sheet.jpg")
    times = [float("nan")] * len(found)
    poses = collect(keypoint_set, times, found, [numbers[i] for i in indices], tuple(files[i] for i in indices))
    write_poses(poses, folder, "image", options.formats)
    return poses


def _overlay(
    item: FramePoses, number: int, keypoint_set: KeypointSet, options: OutputOptions, sheet: ContactSheet
) -> np.ndarray:
    """Returns the drawn frame with its caption, and adds it to the contact sheet, without that of its full size."""
    image, text, lost = draw_frame(item, keypoint_set, options.mosaic), caption(item, number), is_lost(item)
    sheet.add(image, text, frame_score(item), lost)
    return label_frame(image, text, lost)


def image_numbers(files: Sequence[str]) -> list[int]:
    """Returns the number of each image file, which is written as its COCO `image_id`.

    If the names of all files, without folder and suffix, are different integers, as in COCO, these are the numbers;
    otherwise, or if one exceeds what every reader of JSON holds exactly, images are numbered by their position in the
    list, from 0.
    """
    stems = [pathlib.PurePath(file).stem for file in files]
    numbers = [int(stem) for stem in stems if re.fullmatch(r"[0-9]{1,19}", stem)]
    usable = len(set(numbers)) == len(files) and max(numbers, default=0) < MAX_NUMBER
    return numbers if usable else list(range(len(files)))
