"""Writes the report of a film, and the index of a folder of films."""

import pathlib
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aggpose_jax import io
from aggpose_jax.data.videos import VideoError
from aggpose_jax.errors import UserError
from aggpose_jax.recordings.recording import find_recordings
from aggpose_jax.report import camera, page, pictures, worst
from aggpose_jax.report.templating import STYLES, fill
from aggpose_jax.timeseries.findings import SUBJECTS
from aggpose_jax.timeseries.series import Series
from aggpose_jax.timeseries.verdict import Verdict, judge

PAGE, VERDICT, INDEX = "report.html", "verdict.json", "index.html"


def write(
    series: Series,
    folder: pathlib.Path,
    *,
    settings: Mapping[str, object],
    calibration: page.Calibration | None = None,
    features: Sequence[Mapping[str, str]] = (),
    filter_report: Mapping[str, Any] | None = None,
) -> Verdict:
    """Writes report.html and verdict.json of a film into a folder, atomically, and returns the verdict.

    The video is read for the movement of the camera and for pictures; if it is gone, the page says so.

    Args:
      series: the cleaned keypoints of the film.
      folder: of the recording.
      settings: of the cleaning, which the page lists.
      calibration: of the network; None if there is none.
      features: lines of features.csv, by column.
      filter_report: of `timeseries.filter_report`; None without a smoothing filter.

    Raises:
      OSError: a file cannot be written.
    """
    video, frames = pathlib.Path(series.recording.facts.video), worst.choose(series)
    motion, drawn, unread = None, {}, ""
    try:
        motion = camera.measure(video, series.recording)
        drawn = pictures.draw(video, series, frames)
    except VideoError as error:
        unread = f"The video could not be read, so that there are no pictures: {error}."
    verdict = judge(series, motion, calibration)
    content = page.Content(
        series, verdict, motion, frames, drawn, unread, settings, calibration, features, filter_report
    )
    io.write_text(folder / PAGE, page.render(content))
    io.write_json(folder / VERDICT, {"name": series.recording.name, **verdict.to_fields()}, indent=1)
    return verdict


def write_index(results: pathlib.Path) -> pathlib.Path:
    """Writes index.html over the films in a folder of results, with their verdicts and links, and returns its path.

    Raises:
      UserError: the folder has no recording.
      OSError: the file cannot be written.
    """
    films = [_film(folder, results) for folder in find_recordings(results)]
    values = {
        "name": results.resolve().name,
        "titles": list(SUBJECTS.values()),
        "films": films,
        "summary": _summary(films),
    }
    path = results / INDEX
    io.write_text(path, fill(INDEX, values))
    return path


def _film(folder: pathlib.Path, results: pathlib.Path) -> dict[str, Any]:
    """Returns name, link, verdict and first reason of a film; without a verdict if it has no report."""
    relative = folder.relative_to(results)
    film: dict[str, Any] = {
        "name": str(relative) if relative.parts else folder.resolve().name,
        "href": "",
        "verdict": [],
        "reason": "",
    }
    try:
        content: Any = io.read_json(folder / VERDICT)
        film["verdict"] = page.cards(content)
    except (UserError, KeyError, TypeError):
        return film
    reasons = [reason for one in film["verdict"] for reason in one["reasons"]]
    return film | {"href": urllib.parse.quote(str(relative / PAGE)), "reason": reasons[0] if reasons else ""}


def _summary(films: Sequence[Mapping[str, Any]]) -> str:
    """Returns how many films have which verdict on position."""
    words = Counter(film["verdict"][0]["words"] if film["verdict"] else "no report" for film in films)
    counted = ", ".join(f"{words[word]} {word}" for word in (*STYLES, "no report") if words[word])
    return f"{len(films)} film{'' if len(films) == 1 else 's'}. Position: {counted}."
