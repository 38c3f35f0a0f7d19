"""Checks of the keypoints of a film: whether they are those of one infant, and complete."""

import itertools

import numpy as np

from aggpose_jax.timeseries import anatomy, bands, torso
from aggpose_jax.timeseries.findings import ALL, FIDGETY, MOVEMENT, Finding, Level, percent
from aggpose_jax.timeseries.series import Series

# Of supine infants the torso length varies by .007 to .016; a skeleton of an infant over a shopping street by .377.
TORSO_VARIATION = 0.10
FAST, FAST_POINTS = 9.0, 0.01  # torso lengths per second, and the fraction of points that may be faster
# Seconds, about, over which a speed is measured, so that jitter counts alike at all frame rates.
SPEED_INTERVAL = 1 / 30
USABLE_POINTS = 0.70
GAP, ROUNDING = 1.0, 1e-5  # seconds; times are stored in microseconds
SECOND_PERSON = 0.01  # fraction of the frames that may have a second person, by an error of a detector


def principal(series: Series) -> int:
    """Returns the index of the person with most usable points."""
    return int(np.isfinite(series.position).all(axis=-1).sum(axis=(0, 2)).argmax())


def torso_length(series: Series) -> np.ndarray:
    """Returns the [T] torso length of the principal person in each frame, in pixels; NaN where missing."""
    corners = torso.corners(series.recording.keypoint_set)
    if corners is None:
        return np.full(len(series.position), np.nan)
    points = series.position[:, principal(series), corners]
    length: np.ndarray = np.linalg.norm(points[:, :2].mean(axis=1) - points[:, 2:].mean(axis=1), axis=-1)
    return length


def usable_points(series: Series) -> list[Finding]:
    """Finds a film in which too many points are missing."""
    known = np.isfinite(series.position[:, principal(series)]).all(axis=-1)
    if not known.any():
        return [Finding(Level.UNUSABLE, ALL, "No pose was found in any frame.")]
    if known.mean() < USABLE_POINTS:
        text = f"Only {percent(known.mean())} of the points are usable; at least {percent(USABLE_POINTS)} are needed."
        return [Finding(Level.UNUSABLE, ALL, text)]
    return []


def torso_variation(series: Series) -> list[Finding]:
    """Finds a skeleton whose torso is not that of one body, or that has none."""
    if torso.corners(series.recording.keypoint_set) is None:
        text = "The keypoint set has no shoulders and hips, so that neither the body nor speeds could be checked."
        return [Finding(Level.LIMITED, ALL, text)]
    if not np.isfinite(series.position).any():
        return []
    variation = anatomy.variation(torso_length(series), series.recording.time)
    if np.isnan(variation):
        return [Finding(Level.LIMITED, ALL, "Shoulders and hips were not found together in two frames, so that the "
                                            "body could not be checked.")]  # fmt: skip
    if variation > TORSO_VARIATION:
        text = (
            f"The torso length varies by {variation:.2f} of its mean, more than {TORSO_VARIATION:.2f}: the skeleton "
            "does not lie on the body of one infant."
        )
        return [Finding(Level.UNUSABLE, ALL, text)]
    return []


def speeds(series: Series) -> list[Finding]:
    """Finds a film in which points are faster than an infant moves them."""
    fast = fast_points(series)
    if np.isnan(fast):
        return []
    if fast > FAST_POINTS:
        text = (
            f"{percent(fast)} of the points are faster than {FAST:g} torso lengths per second, more than "
            f"{percent(FAST_POINTS)}: they jump."
        )
        return [Finding(Level.UNUSABLE, ALL, text)]
    return []


def fast_points(series: Series) -> float:
    """Returns the fraction of the known speeds above FAST; NaN if no speed is known in torso lengths."""
    person, time = principal(series), series.recording.time
    length = torso.of_film(series.recording.position, series.recording.keypoint_set).length[person]
    if len(time) < 2:
        return float("nan")
    step = min(max(round(SPEED_INTERVAL / float(np.median(np.diff(time)))), 1), len(time) - 1)
    moved = series.position[step:, person] - series.position[:-step, person]
    speed = np.linalg.norm(moved, axis=-1) / (time[step:] - time[:-step])[:, None] / length
    known = np.isfinite(speed)
    return float((speed[known] > FAST).mean()) if known.any() else float("nan")


def gaps(series: Series) -> list[Finding]:
    """Finds stretches without any point, at the beginning and the end as well."""
    time = series.recording.time
    found = np.flatnonzero(np.isfinite(series.position[:, principal(series)]).any(axis=(1, 2)))
    if not len(found):
        return []
    edges = [time[0], *time[found], time[-1]]
    long = [(start, end) for start, end in itertools.pairwise(edges) if end - start > GAP + ROUNDING]
    if not long:
        return []
    places = [f"from {start:.1f} to {end:.1f} s" for start, end in long[:3]]
    if time[found[0]] - time[0] > GAP:
        places[0] = f"at the beginning, {places[0]}"
    text = f"No pose was found for more than {GAP:g} s: {', '.join(places)}{', …' if len(long) > 3 else ''}."
    return [Finding(Level.LIMITED, ALL, text)]


def persons(series: Series) -> list[Finding]:
    """Finds a film with more than one person."""
    seen = np.isfinite(series.recording.position).all(axis=-1).any(axis=-1)
    several = float((seen.sum(axis=1) > 1).mean())
    if several <= SECOND_PERSON:
        return []
    text = (
        f"{int(seen.any(axis=0).sum())} persons were found, more than one in {percent(several)} of the frames; one "
        "may be taken for the other."
    )
    return [Finding(Level.LIMITED, ALL, text)]


def duration(series: Series) -> list[Finding]:
    """Finds a film that is too short to have a speed, or one period of the band of fidgety movements."""
    time = series.recording.time
    if len(time) < 2:
        return [Finding(Level.UNUSABLE, MOVEMENT, "The film has one frame, and so no movement.")]
    low, _ = bands.FIDGETY
    if time[-1] - time[0] < 1 / low:
        text = f"The film lasts {time[-1] - time[0]:.1f} s, less than one period of {low:g} Hz ({1 / low:.1f} s)."
        return [Finding(Level.UNUSABLE, (FIDGETY,), text)]
    return []
