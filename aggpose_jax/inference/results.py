"""What is written for one video or one set of images: poses in the chosen formats, an overlay, a contact sheet."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from aggpose_jax.data.videos import write_frames
from aggpose_jax.inference.frame_poses import FramePoses
from aggpose_jax.inference.media import ContactSheet, draw_frame, write_jpeg
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.recordings.formats import FORMATS
from aggpose_jax.recordings.poses import Poses, collect


@dataclasses.dataclass(frozen=True)
class OutputOptions:
    """What to write.

    Attributes:
      formats: names of recordings.formats.FORMATS.
      overlay: pictures with skeletons, and a sheet of some of them.
      mosaic: heads in a mosaic in all pictures.
    """

    formats: tuple[str, ...] = ("coco", "csv")
    overlay: bool = True
    mosaic: bool = False


def write_video_results(
    shots: Iterable[FramePoses], folder: pathlib.Path, stem: str, names: KeypointSet, wanted: OutputOptions
):
    """Writes the results of one video and returns its poses. What it writes: keypoints.*, overlay.mp4, sheet.jpg."""
    kept: list[tuple[float, np.ndarray]] = []
    sheet = ContactSheet()

    def pictures() -> Iterator[tuple[float, np.ndarray]]:
        for shot in shots:
            kept.append((shot.frame.seconds, shot.poses))
            if wanted.overlay:
                picture = draw_frame(shot, names, wanted.mosaic)
                sheet.add(picture)
                yield shot.frame.seconds, picture

    if wanted.overlay:
        write_frames(pictures(), folder / "overlay.mp4")
        write_jpeg(sheet.picture(), folder / "sheet.jpg")
    else:
        list(pictures())
    poses = collect(names, [seconds for seconds, _ in kept], [found for _, found in kept])
    _write_poses(poses, folder, stem, wanted)
    return poses


def write_image_results(
    shots: Iterable[FramePoses],
    folder: pathlib.Path,
    files: Sequence[str],
    names: KeypointSet,
    wanted: OutputOptions,
) -> Poses:
    """Writes the results of images and returns their poses: keypoints.*, overlay/FILE.jpg, sheet.jpg.

    Args:
      shots: their frames' indices are those of files; some may be missing.
      folder, names, wanted: where, of which keypoints and what to write.
      files: names of the images.
    """
    found, read = [], []
    sheet = ContactSheet()
    for shot in shots:
        found.append(shot.poses)
        read.append(shot.frame.index)
        if wanted.overlay:
            picture = draw_frame(shot, names, wanted.mosaic)
            sheet.add(picture)
            write_jpeg(picture, folder / "overlay" / f"{files[shot.frame.index]}.jpg")
    if wanted.overlay and found:
        write_jpeg(sheet.picture(), folder / "sheet.jpg")
    numbers = image_numbers(files)
    times = [float("nan")] * len(found)
    poses = collect(names, times, found, [numbers[i] for i in read], tuple(files[i] for i in read))
    _write_poses(poses, folder, "image", wanted)
    return poses


def image_numbers(files: Sequence[str]) -> list[int]:
    """The number of each image: its name, if all names are different numbers, as in COCO; else its place, from 0."""
    stems = [pathlib.PurePath(file).stem for file in files]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return numbers if len(set(numbers)) == len(files) else list(range(len(files)))


def _write_poses(poses: Poses, folder: pathlib.Path, stem: str, wanted: OutputOptions) -> None:
    for name in wanted.formats:
        FORMATS[name](poses, folder, stem)
