"""Checks of the film and of what is known of the network's errors in it."""

from typing import Protocol

import numpy as np

from aggpose_jax.recordings.recording import Facts
from aggpose_jax.timeseries import bands
from aggpose_jax.timeseries.camera_motion import CameraMotion
from aggpose_jax.timeseries.findings import ALL, FIDGETY, MOVEMENT, Finding, Level, percent

DECODED = 0.98  # fraction of the promised frames
FRAME_RATE = 23.9  # frames per second; films of 24 / 1.001 pass
# The largest displacement of the background, as a fraction of the diagonal of the image. If an infant fills the image,
# it is about .05 torso lengths, above which a keypoint that moves so far within a moment is called an outlier.
CAMERA_RANGE = 0.01
CAMERA_MEASURED = 0.9  # fraction of the frames in which the movement of the camera must be known
SECOND_INFANT = 0.1  # fraction of the searches that may find a second infant by an error of the network


class Calibrated(Protocol):
    """What is known of the errors of a network."""

    @property
    def domain(self) -> str:
        """Returns what the films show on which the errors were measured, such as "synthetic infants"."""


def decoded(facts: Facts) -> list[Finding]:
    """Finds a damaged film."""
    if facts.decoded >= DECODED * facts.promised:
        return []
    text = (
        f"Only {facts.decoded} of {facts.promised} frames ({percent(facts.decoded / facts.promised)}) could be "
        f"decoded, less than {percent(DECODED)}: the file is cut short or damaged."
    )
    return [Finding(Level.LIMITED, ALL, text)]


def second_infant(facts: Facts) -> list[Finding]:
    """Finds a film with an infant who was not tracked."""
    if not facts.second or facts.second <= SECOND_INFANT * facts.searched:
        return []
    text = (
        f"Beside the tracked infant there was another one in {facts.second} of {facts.searched} frames that were "
        "searched for one; one may be taken for the other. Predict with --persons 2."
    )
    return [Finding(Level.LIMITED, ALL, text)]


def frame_rate(time: np.ndarray) -> list[Finding]:
    """Finds a film of too few frames per second, on average over its T times in seconds."""
    if len(time) < 2:
        return []
    rate = float((len(time) - 1) / (time[-1] - time[0]))
    if rate >= FRAME_RATE:
        return []
    text = f"The film has {rate:.1f} frames per second on average, less than {FRAME_RATE:g}."
    findings = [Finding(Level.LIMITED, ALL, text)]
    _, highest = bands.FIDGETY
    if rate <= 2 * highest:
        text = f"{rate:.1f} frames per second cannot show movements of {highest:g} Hz, which need more than "
        findings.append(Finding(Level.UNUSABLE, (FIDGETY,), f"{text}{2 * highest:g}."))
    return findings


def camera(motion: CameraMotion | None, has_pose: np.ndarray) -> list[Finding]:
    """Finds a camera that moved, or of which that is unknown.

    Args:
      motion: in T frames; None if it was not measured.
      has_pose: bool [T], the frames in which it must be known.
    """
    if motion is None:
        return [Finding(Level.LIMITED, ALL, "The video was not read, so that a moving camera would not be noticed.")]
    findings = []
    if motion.jumped.any():
        text = (
            f"The camera was shaken, or the scene cut: the whole picture jumped in {int(motion.jumped.sum())} of "
            f"{len(motion.jumped)} frames."
        )
        findings.append(Finding(Level.LIMITED, ALL, text))
    if motion.range > CAMERA_RANGE:
        text = (
            f"The camera moved: the background was displaced by {percent(motion.range)} of the image's diagonal, more "
            f"than {percent(CAMERA_RANGE)}."
        )
        findings.append(Finding(Level.LIMITED, ALL, text))
    measured = float(motion.measured[has_pose].mean()) if has_pose.any() else 1.0
    if not findings and measured < CAMERA_MEASURED:
        text = (
            f"Whether the camera moved is known in {percent(measured)} of the frames only, less than "
            f"{percent(CAMERA_MEASURED)}: the background shows too little that can be followed."
        )
        findings.append(Finding(Level.LIMITED, MOVEMENT, text))
    return findings


def calibration(known: Calibrated | None) -> list[Finding]:
    """Limits a film whose errors are unknown, or were only measured on synthetic infants."""
    if known is None:
        text = "The errors of the network are unknown, since no calibration was given."
        return [Finding(Level.LIMITED, ALL, text)]
    if known.domain.startswith("synthetic"):
        text = (
            f"The errors of the network were measured only on {known.domain}; on films of real infants they may be "
            "larger."
        )
        return [Finding(Level.LIMITED, ALL, text)]
    return []
