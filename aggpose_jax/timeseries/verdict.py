"""The verdict on a film: what its keypoints can be used for, and why."""

import dataclasses

import numpy as np

from aggpose_jax.timeseries import body_checks, film_checks
from aggpose_jax.timeseries.camera_motion import CameraMotion
from aggpose_jax.timeseries.film_checks import Calibrated
from aggpose_jax.timeseries.findings import SUBJECTS, Finding, Level
from aggpose_jax.timeseries.series import Series


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How far a film can be used for one subject, and the sentences that say why; no sentence if it is usable."""

    level: Level
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The judgement of a film for each of `findings.SUBJECTS`, by its name."""

    judgements: dict[str, Judgement]

    def to_fields(self) -> dict[str, object]:
        """Returns the verdict as JSON values: for each subject its level in words and the reasons."""
        return {
            subject: {"verdict": one.level.words, "reasons": list(one.reasons)}
            for subject, one in self.judgements.items()
        }


def judge(series: Series, camera: CameraMotion | None = None, calibration: Calibrated | None = None) -> Verdict:
    """Returns the verdict on a film.

    Args:
      series: the cleaned keypoints. If several persons were found, the one with most usable points is judged.
      camera: movement of the camera; None if it was not measured, which limits the film.
      calibration: of the network; None if its errors are unknown, which limits the film.
    """
    facts, time = series.recording.facts, series.recording.time
    findings = [
        *body_checks.usable_points(series),
        *body_checks.torso_variation(series),
        *body_checks.speeds(series),
        *body_checks.duration(series),
        *body_checks.gaps(series),
        *body_checks.persons(series),
        *film_checks.decoded(facts),
        *film_checks.second_infant(facts),
        *film_checks.frame_rate(time),
        *film_checks.camera(camera, np.isfinite(series.recording.position).any(axis=(1, 2, 3))),
        *film_checks.calibration(calibration),
    ]
    return Verdict({subject: _judge(subject, findings) for subject in SUBJECTS})


def _judge(subject: str, findings: list[Finding]) -> Judgement:
    own = sorted((one for one in findings if subject in one.subjects), key=lambda one: -one.level)
    level = max((one.level for one in own), default=Level.USABLE)
    return Judgement(level, tuple(one.sentence for one in own))
