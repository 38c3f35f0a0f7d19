"""The file formats in which poses can be written, by name: those for videos and images, and those for recordings only.

Adding a format is a module with a function that writes it, and a line in one of the two tables.
"""

import pathlib
from collections.abc import Callable, Sequence

from aggpose_jax import io
from aggpose_jax.recordings import coco, deeplabcut, movement, nwb, openpose, tidy
from aggpose_jax.recordings.poses import Poses
from aggpose_jax.recordings.recording import Recording

# Writes poses into a folder; the text is the stem, the name of the video without its suffix.
Writer = Callable[[Poses, pathlib.Path, str], None]

FORMATS: dict[str, Writer] = {
    "coco": lambda poses, folder, stem: coco.write(poses, folder / "keypoints.json"),
    "csv": lambda poses, folder, stem: tidy.write(poses, folder / "keypoints.csv"),
    "deeplabcut": lambda poses, folder, stem: deeplabcut.write(poses, folder / "deeplabcut.csv"),
    "deeplabcut_h5": lambda poses, folder, stem: deeplabcut.write_h5(poses, folder / "deeplabcut.h5"),
    "openpose": lambda poses, folder, stem: openpose.write(poses, folder / "openpose", stem),
}
# Formats that state the time of each frame and facts of the video, which images do not have.
RECORDING_FORMATS: dict[str, Callable[[Recording, pathlib.Path], None]] = {
    "movement": lambda recording, folder: movement.write(recording, folder / "movement.nc"),
    "nwb": lambda recording, folder: nwb.write(recording, folder / "keypoints.nwb"),
}
NAMES = (*FORMATS, *RECORDING_FORMATS)
# Checks that the libraries which the extra of a format installs are there.
_CHECKS: dict[str, Callable[[], object]] = {"deeplabcut_h5": deeplabcut.import_pandas, "nwb": nwb.check_installed}


def check_libraries(formats: Sequence[str]) -> None:
    """Checks that the libraries of the formats are installed.

    Raises:
      UserError: one is missing.
    """
    for name in formats:
        _CHECKS.get(name, lambda: None)()


def write_poses(poses: Poses, folder: pathlib.Path, stem: str, formats: Sequence[str]) -> None:
    """Writes poses in those of the formats that are in FORMATS.

    Args:
      poses: the poses of a video or of images.
      folder: folder of the files.
      stem: name of the video without its suffix.
      formats: names of formats.
    """
    for name in dict.fromkeys(formats):
        if name in FORMATS:
            FORMATS[name](poses, folder, io.shorten(stem))


def write_recording(recording: Recording, folder: pathlib.Path, formats: Sequence[str]) -> None:
    """Writes a recording in those of the formats that are in RECORDING_FORMATS."""
    for name in dict.fromkeys(formats):
        if name in RECORDING_FORMATS:
            RECORDING_FORMATS[name](recording, folder)
