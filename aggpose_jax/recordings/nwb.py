"""Writes recordings as NWB files (Neurodata Without Borders, Rübel et al. 2022) with the extension ndx-pose.

The processing module `behavior` has a PoseEstimation, or with several persons one of each, whose series are the
keypoints: data [T, 2] in pixels and confidence [T], NaN without a pose, and the time of every frame.
"""

import datetime
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.recordings.recording import Recording

if TYPE_CHECKING:
    from pynwb import NWBFile

# The format requires a start, and videos do not state theirs.
UNKNOWN_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
ORIGIN = "(0, 0) is the centre of the upper left pixel of the displayed frame; x rises to the right, y downward"
CONFIDENCE = "score of the network: the maximum of the keypoint's heatmap"


def write(recording: Recording, path: pathlib.Path) -> None:
    """Writes a recording as an NWB file, atomically.

    Raises:
      UserError: pynwb or ndx-pose is not installed.
    """
    check_installed()
    import h5py
    from pynwb import NWBHDF5IO

    with io.atomic_path(path) as temporary, h5py.File(temporary, "w") as file, NWBHDF5IO(file=file, mode="w") as nwb:
        nwb.write(_content(recording))


def check_installed() -> None:
    """Checks that pynwb and ndx-pose are installed.

    Raises:
      UserError: one of them is not.
    """
    try:
        import ndx_pose  # noqa: F401
        import pynwb  # noqa: F401
    except ImportError as error:
        raise UserError(f"NWB files need {error.name}: pip install 'aggpose_jax[nwb]'") from None


def _content(recording: Recording) -> "NWBFile":
    import ndx_pose
    from pynwb import NWBFile
    from pynwb.image import ImageSeries

    facts = recording.facts
    file = NWBFile(
        session_description=f"Keypoints of the video {recording.name}. The start time of the video is not known.",
        identifier=f"{recording.name} {facts.network}",
        session_start_time=UNKNOWN_START,
    )
    video = ImageSeries(
        name="video",
        external_file=[facts.video],
        format="external",
        starting_frame=[0],
        dimension=[facts.width, facts.height],
        timestamps=recording.time,
        unit="n.a.",
    )
    file.add_acquisition(video)
    names = list(recording.keypoint_set.names)
    edges = np.array(recording.keypoint_set.skeleton, np.uint8).reshape(-1, 2)
    skeleton = ndx_pose.Skeleton(name=_name(recording.keypoint_set.name), nodes=names, edges=edges)
    module = file.create_processing_module("behavior", "positions of keypoints over time")
    module.add(ndx_pose.Skeletons(skeletons=[skeleton]))
    persons = recording.position.shape[1]
    for person in range(persons):
        module.add(
            ndx_pose.PoseEstimation(
                name="PoseEstimation" if persons == 1 else f"PoseEstimation_person_{person}",
                pose_estimation_series=_series(recording, person),
                description=f"keypoints of person {person}, found by the network {facts.network} with {facts.boxes}",
                source_software=facts.software.partition(" ")[0],
                source_software_version=facts.software.partition(" ")[2],
                skeleton=skeleton,
                source_video=video,
            )
        )
    return file


def _series(recording: Recording, person: int) -> list[Any]:
    """Returns a PoseEstimationSeries of each keypoint of a person; all share the times of the first one."""
    import ndx_pose

    series: list[Any] = []
    for k, name in enumerate(recording.keypoint_set.names):
        series.append(
            ndx_pose.PoseEstimationSeries(
                name=_name(name),
                data=recording.position[:, person, k],
                confidence=recording.confidence[:, person, k],
                timestamps=series[0] if series else recording.time,
                unit="pixels",
                reference_frame=ORIGIN,
                confidence_definition=CONFIDENCE,
            )
        )
    return series


def _name(text: str) -> str:
    """Returns a name of an object, which must not contain the signs of paths in HDF5."""
    return text.replace("/", "_").replace(":", "_")
