"""The file formats in which the poses of a video or of images can be written, by name."""

import pathlib
from collections.abc import Callable

from aggpose_jax.recordings import coco, deeplabcut, openpose, tidy
from aggpose_jax.recordings.poses import Poses

# Writes poses into a folder; the text is the stem, the name of the video without its suffix.
Writer = Callable[[Poses, pathlib.Path, str], None]

FORMATS: dict[str, Writer] = {
    "coco": lambda poses, folder, stem: coco.write(poses, folder / "keypoints.json"),
    "csv": lambda poses, folder, stem: tidy.write(poses, folder / "keypoints.csv"),
    "deeplabcut": lambda poses, folder, stem: deeplabcut.write(poses, folder / "deeplabcut.csv"),
    "deeplabcut_h5": lambda poses, folder, stem: deeplabcut.write_h5(poses, folder / "deeplabcut.h5"),
    "openpose": lambda poses, folder, stem: openpose.write(poses, folder / "openpose", stem),
}
