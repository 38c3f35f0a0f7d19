"""The page of a film: report.html, one file that shows without a network what its keypoints are worth."""

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

import aggpose_jax
from aggpose_jax.report import charts, time_charts, tracks
from aggpose_jax.report.templating import STYLES, fill
from aggpose_jax.report.worst import WorstFrame
from aggpose_jax.timeseries.body_checks import principal
from aggpose_jax.timeseries.camera_motion import CameraMotion
from aggpose_jax.timeseries.findings import SUBJECTS, percent
from aggpose_jax.timeseries.series import Flag, Series
from aggpose_jax.timeseries.verdict import Verdict

MEANINGS = {
    Flag.OK: "as the network found it",
    Flag.UNSURE: "as found; perhaps left and right are exchanged from there on",
    Flag.OUTLIER: "removed, because it is far from the frames before and after it",
    Flag.SWAPPED: "left and right were exchanged back",
    Flag.FILLED: "interpolated across a short gap",
    Flag.MISSING: "no pose, or too uncertain",
}
FEATURE_COLUMNS = ("feature", "value", "unit", "reliability", "lower_limit", "note")


class Calibration(Protocol):
    """What is known of the errors of a network, from films whose truth is known.

    Attributes:
      domain: what these films show.
      amplitude: amplitude of the error in torso lengths by keypoint and name of a band.
    """

    @property
    def domain(self) -> str: ...

    @property
    def amplitude(self) -> Mapping[str, Mapping[str, float]]: ...


@dataclasses.dataclass(frozen=True)
class Content:
    """What a page shows.

    Attributes:
      series: the cleaned keypoints.
      verdict: on them.
      camera: its movement; None if the video could not be read.
      frames: the worst frames.
      pictures: JPEG files by the rows of frames; frames that could not be read are missing.
      unread: why the video could not be read; empty if it was.
      settings: of the cleaning.
      calibration: of the network, if there is one.
      features: lines of features.csv, by column.
      filter_report: of the smoothing filter, if there is one.
    """

    series: Series
    verdict: Verdict
    camera: CameraMotion | None
    frames: Sequence[WorstFrame]
    pictures: Mapping[int, bytes]
    unread: str
    settings: Mapping[str, object]
    calibration: Calibration | None
    features: Sequence[Mapping[str, str]]
    filter_report: Mapping[str, Any] | None


def render(content: Content) -> str:
    """Returns the page as HTML, in which all that comes from the film is escaped."""
    time, shown = content.series.recording.time, tracks.of(content.series)
    band_names, bands = _bands(content.calibration)
    verdict = cards(content.verdict.to_fields())
    shared = [reason for reason in verdict[0]["reasons"] if all(reason in one["reasons"] for one in verdict)]
    values = {
        "name": content.series.recording.name,
        "frames": len(time),
        "seconds": f"{time[-1] - time[0]:.1f}",
        "verdict": verdict,
        "shared": shared,
        "domain": content.calibration.domain if content.calibration else "",
        "error_chart": time_charts.expected_error(shown),
        "flags": _flags(content.series),
        "paths_chart": charts.paths(shown),
        "movement_chart": time_charts.movement(shown),
        "camera_chart": time_charts.camera(content.camera, time) if content.camera else None,
        "unread": content.unread,
        "band_names": band_names,
        "bands": bands,
        "feature_columns": FEATURE_COLUMNS,
        "features": [[line.get(column, "") for column in FEATURE_COLUMNS] for line in content.features],
        "pictures": [_picture(frame, content) for frame in content.frames if frame.row in content.pictures],
        "bones_chart": time_charts.bones(shown),
        "gain_chart": charts.gain(content.filter_report) if content.filter_report else None,
        "removed": _removed(content.filter_report),
        "settings": _settings(content),
    }
    return fill("report.html", values)


def cards(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns title, words, style and reasons for each subject of a verdict in JSON values."""
    return [
        {
            "title": title,
            "words": verdict[subject]["verdict"],
            "style": STYLES[verdict[subject]["verdict"]],
            "reasons": verdict[subject]["reasons"],
        }
        for subject, title in SUBJECTS.items()
    ]


def _flags(series: Series) -> list[tuple[str, str, str]]:
    """Returns name, percentage and meaning of each flag that occurs in the principal person."""
    counts = np.bincount(series.flag[:, principal(series)].ravel(), minlength=len(Flag))
    return [
        (flag.name.lower(), percent(counts[flag] / counts.sum()), meaning)
        for flag, meaning in MEANINGS.items()
        if counts[flag]
    ]


def _bands(calibration: Calibration | None) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of the table of error amplitudes; no row without a calibration."""
    if calibration is None or not calibration.amplitude:
        return [], []
    names = list(next(iter(calibration.amplitude.values())))
    rows = [
        [keypoint.replace("_", " "), *(_number(by_band.get(name, math.nan)) for name in names)]
        for keypoint, by_band in calibration.amplitude.items()
    ]
    return ["keypoint", *(f"{name} Hz" for name in names)], rows


def _removed(report: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    bands = report["bands"] if report else []
    return [
        (f"{band['low_hz']:g}–{band['high_hz']:g}", percent(band["removed"]))
        for band in bands
        if band["removed"] is not None and math.isfinite(band["removed"])
    ]


def _picture(frame: WorstFrame, content: Content) -> dict[str, str]:
    recording = content.series.recording
    jpeg = content.pictures[frame.row]
    keypoint = recording.keypoint_set.names[frame.worst].replace("_", " ")
    known = math.isfinite(frame.error)
    quality = f"expected error {frame.error:.2f} torso lengths" if known else f"mean score {frame.confidence:.2f}"
    parts = [f"{quality}, least certain: {keypoint}"]
    parts += [f"removed points: {frame.outliers}"] * bool(frame.outliers)
    parts += [f"exchanged points: {frame.swapped}"] * bool(frame.swapped)
    number, seconds = str(recording.poses.numbers[frame.row]), f"{recording.time[frame.row]:.2f}"
    text = "; ".join(parts) + "."
    return {
        "number": number,
        "seconds": seconds,
        "text": text[0].upper() + text[1:],
        "alt": f"Frame {number} at {seconds} s with the skeleton drawn and the head hidden; {text}",
        "data": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
    }


def _settings(content: Content) -> list[tuple[str, str]]:
    recording, facts = content.series.recording, content.series.recording.facts
    rows = {
        "video": facts.video,
        "frame size": f"{facts.width} × {facts.height} pixels, rotated by {facts.rotation}°",
        "frame rate": f"{_number(recording.frame_rate)} per second (median), {facts.header_rate:g} by the header",
        "frames": f"{facts.decoded} decoded of {facts.promised}; errors of the decoder: {facts.errors}",
        "boxes": facts.boxes,
        "keypoint set": recording.keypoint_set.name,
        "network": facts.network,
        "keypoints by": facts.software,
        "report by": f"aggpose_jax {aggpose_jax.__version__}",
        "calibration": content.calibration.domain if content.calibration else "none",
    }
    return [*rows.items(), *((key, str(value)) for key, value in content.settings.items())]


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unknown"
