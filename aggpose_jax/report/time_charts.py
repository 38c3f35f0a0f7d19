"""Charts over time: expected error, movement, bone lengths and the camera."""

import numpy as np

from aggpose_jax.report import svg
from aggpose_jax.report.tracks import Tracks
from aggpose_jax.timeseries.camera_motion import CameraMotion
from aggpose_jax.timeseries.film_checks import CAMERA_RANGE
from aggpose_jax.timeseries.findings import percent
from aggpose_jax.timeseries.medians import median

HIGHEST_ERROR = 0.3  # torso lengths, at the top of a row
BONE_RANGE = 0.5  # of the median length, above and below it in a row
CAMERA_HIGHEST = 5 * CAMERA_RANGE  # fraction of the diagonal, at the top of a row


def expected_error(tracks: Tracks) -> svg.Chart:
    """Returns the chart of the expected error of each keypoint; spans in which it is missing are grey.

    If no error is known, the rows only show where keypoints are missing.
    """
    known = np.isfinite(tracks.position).all(axis=-1)
    missing = 1 - known.mean(axis=0)
    worst = int(missing.argmax())
    said = "No keypoint is missing in any frame"
    if missing.any():
        said = (
            f"Grey spans: missing. Most often it is {tracks.names[worst]}, in {percent(missing[worst])} of the frames"
        )
    if not np.isfinite(tracks.error).any():
        lines = [
            svg.Row(name, np.where(known[:, k], 0.0, np.nan), percent(1 - missing[k]))
            for k, name in enumerate(tracks.names)
        ]
        said += ". At the right: the fraction of the frames in which the keypoint was found."
        return svg.rows("Where each keypoint was found", said, tracks.time, lines, 0, 1)
    middle = median(tracks.error, axis=0)
    lines = [svg.Row(name, tracks.error[:, k], number(middle[k])) for k, name in enumerate(tracks.names)]
    largest = int(np.nan_to_num(middle, nan=-1).argmax())
    said += (
        f"; the largest median error is {middle[largest]:.2f} torso lengths, of {tracks.names[largest]}. Each row "
        f"spans 0 to {HIGHEST_ERROR:g} torso lengths; at its right is the median."
    )
    return svg.rows("Expected error of each keypoint over time", said, tracks.time, lines, 0, HIGHEST_ERROR)


def movement(tracks: Tracks) -> svg.Chart:
    """Returns the chart of the movement of wrists and ankles around their medians, to the right and upwards."""
    ends = list(tracks.ends)
    around = (tracks.position[:, ends] - median(tracks.position[:, ends], axis=0)) * (1, -1)
    span = max(float(np.nanpercentile(np.abs(around), 99.5)) if np.isfinite(around).any() else 1.0, 1e-6)
    lines = [
        svg.Row(f"{tracks.names[k]} {axis}", around[:, i, a], number(_range(around[:, i, a])))
        for i, k in enumerate(ends)
        for a, axis in enumerate(("right", "up"))
    ]
    said = f"Each row spans {2 * span:.2f} {tracks.unit} around the median; at its right is the range of 90 %."
    return svg.rows("Movement of wrists and ankles over time", said, tracks.time, lines, -span, span)


def bones(tracks: Tracks) -> svg.Chart:
    """Returns the chart of the length of each limb relative to its median in the film."""
    starts, ends = np.array(tracks.skeleton, int).reshape(-1, 2).T
    length = np.linalg.norm(tracks.position[:, starts] - tracks.position[:, ends], axis=-1)
    middle = median(length, axis=0)
    relative = length / np.where(middle > 0, middle, np.nan)
    lines = [
        svg.Row(f"{tracks.names[a]} – {tracks.names[b]}", relative[:, i], number(middle[i]))
        for i, (a, b) in enumerate(tracks.skeleton)
    ]
    said = (
        f"Each row spans {1 - BONE_RANGE:g} to {1 + BONE_RANGE:g} times the median length, which is at its right in "
        f"{tracks.unit}. A limb is shorter while it points to the camera; steps and large swings of the trunk are "
        "errors, or turns of the body."
    )
    return svg.rows("Lengths of limbs over time", said, tracks.time, lines, 1 - BONE_RANGE, 1 + BONE_RANGE)


def camera(motion: CameraMotion, time: np.ndarray) -> svg.Chart:
    """Returns the chart of the displacement of the background."""
    lines = [
        svg.Row(f"background {name}", motion.path[:, axis], percent(_range(motion.path[:, axis])))
        for axis, name in enumerate(("right", "down"))
    ]
    said = (
        f"Displacement of the background. Each row spans {percent(2 * CAMERA_HIGHEST)} of the image's diagonal; at its "
        "right is the range of 90 %. Grey spans: unknown."
    )
    return svg.rows("Movement of the camera", said, time, lines, -CAMERA_HIGHEST, CAMERA_HIGHEST)


def number(value: float) -> str:
    """Returns a number for the end of a row, with two decimals if it is small; a dash if it is unknown."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def _range(values: np.ndarray) -> float:
    """Returns the difference of the 95th and the 5th percentile of the known values; NaN if there is none."""
    known = values[np.isfinite(values)]
    return float(np.subtract(*np.percentile(known, (95, 5)))) if len(known) else float("nan")
