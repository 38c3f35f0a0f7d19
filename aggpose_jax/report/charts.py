"""Charts of paths in the plane and of the gain of a filter."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aggpose_jax.report import svg
from aggpose_jax.report.tracks import Tracks
from aggpose_jax.timeseries import bands
from aggpose_jax.timeseries.medians import median

PATH_POINTS = 1200  # of a path; a longer one is thinned out
MARGIN = 24  # units around the paths
GAIN_HEIGHT, GAIN_LEFT = 170, 40  # of the area of the gain, and the place of its axis, in units


def paths(tracks: Tracks) -> svg.Chart:
    """Returns the chart of the paths of wrists and ankles over the median pose, the head above if there is a torso."""
    pose = median(tracks.position, axis=0)
    ends = list(tracks.ends)
    points = np.concatenate([tracks.position[:, ends].reshape(-1, 2), pose])
    points = points[np.isfinite(points).all(axis=1)]
    low, high = np.percentile(points, (0.5, 99.5), axis=0) if len(points) else (np.zeros(2), np.ones(2))
    scale = (svg.WIDTH - 2 * MARGIN) / max(*(high - low), 1e-6)
    height = (high - low)[1] * scale + 2 * MARGIN + 30
    offset = np.array([svg.WIDTH, height - 30]) / 2 - scale * (low + high) / 2
    step = max(-(-len(tracks.position) // PATH_POINTS), 1)
    track, pose = scale * tracks.position[::step] + offset, scale * pose + offset
    bones = [svg.path(pose[[a, b], 0], pose[[a, b], 1], svg.MISSING, 5) for a, b in tracks.skeleton]
    lines = [svg.path(track[:, k, 0], track[:, k, 1], _colour(tracks.names[k]), 1) for k in ends]
    labels = [_label(pose[k], tracks.names[k]) for k in ends if np.isfinite(pose[k]).all()]
    length, unit = (1.0, "1 torso length") if tracks.unit == "torso lengths" else (100.0, "100 pixels")
    bar = [svg.line(0, height - 8, length * scale, height - 8, svg.TEXT), svg.text(0, height - 14, unit)]
    names = ", ".join(tracks.names[k] for k in ends)
    said = f"Paths of {names}: left in orange, right in blue, over the median pose in grey."
    return svg.document("Paths of wrists and ankles", said, height, [*bones, *lines, *labels, *bar])


def _label(place: np.ndarray, name: str) -> str:
    """Returns the name of a keypoint above its place, on a white background and within the image."""
    half = 3.2 * len(name)
    x = float(np.clip(place[0], half, svg.WIDTH - half))
    back = f'<rect x="{x - half:.1f}" y="{place[1] - 20:.1f}" width="{2 * half:.1f}" height="15" fill="#fff" '
    return f'{back}fill-opacity="0.85"/>' + svg.text(round(x, 1), round(place[1] - 9, 1), name, "middle", _colour(name))


def _colour(name: str) -> str:
    return svg.LEFT if name.lower().startswith("left") else svg.RIGHT


def gain(report: Mapping[str, Any]) -> svg.Chart:
    """Returns the chart of the gain of a filter over the frequency, with the band of fidgety movements marked.

    Args:
      report: of a filter, with its name `filter` and lists `frequency_hz` and `gain`, where None is unknown.
    """
    frequency, level = (np.array(report[key], np.float64) for key in ("frequency_hz", "gain"))
    right, bottom = svg.WIDTH - 10, GAIN_HEIGHT + 10
    x = GAIN_LEFT + (right - GAIN_LEFT) * frequency / frequency[-1]
    low, high = (GAIN_LEFT + (right - GAIN_LEFT) * hertz / frequency[-1] for hertz in bands.FIDGETY)
    band = f'<rect x="{low:.1f}" y="10" width="{high - low:.1f}" height="{GAIN_HEIGHT}" fill="{svg.BAND}"/>'
    parts = [band, svg.text((low + high) / 2, bottom - 6, "fidgety", "middle", svg.MUTED)]
    for tick in (0, 0.5, 1):
        y = bottom - tick * GAIN_HEIGHT / 1.2
        parts += [svg.line(GAIN_LEFT, y, right, y, svg.GRID), svg.text(GAIN_LEFT - 6, y + 4, f"{tick:g}", "end")]
    for hertz in range(1, int(frequency[-1]) + 1):
        parts.append(
            svg.text(GAIN_LEFT + (right - GAIN_LEFT) * hertz / frequency[-1], bottom + 16, f"{hertz}", "middle")
        )
    parts.append(svg.path(x, bottom - np.clip(level, 0, 1.2) * GAIN_HEIGHT / 1.2, svg.LINE, 2))
    parts.append(svg.text((GAIN_LEFT + right) / 2, bottom + 34, "frequency in Hz", "middle", svg.MUTED))
    at = [np.interp(hertz, frequency, level) for hertz in bands.FIDGETY]
    said = "Gain " + " and ".join(
        f"{value:.2f} at {hertz:g} Hz" for value, hertz in zip(at, bands.FIDGETY, strict=True)
    )
    said = f"{said}. At gain 1 a movement of this frequency stays as it is; at 0 it is removed."
    return svg.document(f"Gain of the filter {report['filter']}", said, bottom + 42, parts)
