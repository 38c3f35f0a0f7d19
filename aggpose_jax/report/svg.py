"""Draws charts as SVG text that is part of a page: without scripts, readable at the width of a phone."""

import dataclasses
import html
from collections.abc import Sequence

import numpy as np

WIDTH = 360  # units; about one unit is one pixel on a phone, where text has its smallest size
FONT = 12
POINTS = 240  # values that a line shows at most: the largest in each of so many stretches of time
ROW, NOTE, AXIS = 30, 42, 20  # height of a row; width of the note at its right end; height of the time axis
LETTER, LETTERS = 6.4, 30  # width of a letter on average, and letters of a label; a longer one is cut short
# Colours on white. Their contrast is at least 4.5 (WCAG 2.2, level AA); sides are also told apart by labels.
TEXT, MUTED, LINE, LEFT, RIGHT = "#1f2328", "#57606a", "#0b5cad", "#a63c00", "#0b5cad"
MISSING, GRID, BAND = "#d0d4d9", "#d0d4d9", "#e8f1fa"  # areas and lines behind, which no text is needed to tell apart


@dataclasses.dataclass(frozen=True)
class Row:
    """One line over time.

    Attributes:
      label: of the line.
      values: [T] values; NaN where missing.
      note: short text at its right end, such as its median.
    """

    label: str
    values: np.ndarray
    note: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """An SVG image, and what it shows in words, which stands below it and serves readers who do not see the image."""

    image: str
    caption: str


def rows(title: str, caption: str, time: np.ndarray, lines: Sequence[Row], low: float, high: float) -> Chart:
    """Returns a chart of lines over a common time, one below the other; spans without a value are grey.

    Args:
      title: what the chart shows.
      caption: its content and its scale in words.
      time: [T] seconds.
      lines: of T values each.
      low, high: values at the bottom and the top of each row; values beyond are drawn there.
    """
    edges = np.linspace(time[0], max(time[-1], time[0] + 1e-6), min(POINTS, len(time)) + 1)
    stretch = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    names = [shorten(row.label) for row in lines]
    left, right = LETTER * max(map(len, names), default=0) + 8, WIDTH - NOTE
    parts = []
    for number, (name, row) in enumerate(zip(names, lines, strict=True)):
        top = number * ROW + 3
        levels = _largest(row.values, stretch, len(edges) - 1)
        x = left + (right - left) * (edges[:-1] + edges[1:] - 2 * edges[0]) / 2 / (edges[-1] - edges[0])
        y = top + (ROW - 6) * (1 - np.clip((levels - low) / (high - low), 0, 1))
        parts += [text(0, top + 16, name), text(WIDTH, top + 16, row.note, "end", MUTED)]
        parts += [line(left, top + ROW - 6, right, top + ROW - 6, GRID), *_missing(levels, left, right, top)]
        parts.append(path(x, y, LINE))
    bottom = len(lines) * ROW + 6
    parts += [
        text(at, bottom + 14, f"{seconds:.1f} s", anchor, MUTED)
        for at, seconds, anchor in ((left, time[0], "start"), (right, time[-1], "end"))
    ]
    return document(title, caption, bottom + AXIS, parts)


def _largest(values: np.ndarray, stretch: np.ndarray, count: int) -> np.ndarray:
    """Returns the value of largest magnitude [count] in each stretch of values [T]; NaN without one."""
    known = np.isfinite(values)
    order = np.argsort(np.abs(values[known]), kind="stable")
    result = np.full(count, np.nan)
    result[stretch[known][order]] = values[known][order]  # The last value that is written is the largest.
    return result


def _missing(levels: np.ndarray, left: float, right: float, top: float) -> list[str]:
    """Returns grey areas over the spans of a row in which levels [N] are NaN."""
    ends = np.flatnonzero(np.diff(np.isnan(levels), prepend=False, append=False)).reshape(-1, 2)
    scale = (right - left) / len(levels)
    return [
        f'<rect x="{left + a * scale:.1f}" y="{top}" width="{(b - a) * scale:.1f}" height="{ROW - 6}" '
        f'fill="{MISSING}"/>'
        for a, b in ends
    ]


def shorten(label: str) -> str:
    """Returns a label of at most LETTERS letters."""
    return label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…"


def path(x: np.ndarray, y: np.ndarray, colour: str, width: float = 1.4) -> str:
    """Returns a line through points [N]; it is interrupted where one is NaN, and a single point is a dot."""
    known = np.isfinite(x) & np.isfinite(y)
    ends = np.flatnonzero(np.diff(known, prepend=False, append=False)).reshape(-1, 2)
    runs = [" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[i:j], y[i:j], strict=True)) for i, j in ends]
    runs = [run if " " in run else f"{run} {run}" for run in runs]
    return (
        f'<path d="{" ".join(f"M{run}" for run in runs)}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
    )


def document(title: str, caption: str, height: float, parts: Sequence[str]) -> Chart:
    """Returns a chart of WIDTH × height units with a title for screen readers."""
    image = (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{html.escape(title)}" font-size="{FONT}">'
        f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>"
    )
    return Chart(image, caption)


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = TEXT) -> str:
    """Returns text whose start, middle or end is at x, on the line y."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{html.escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """Returns a straight line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}"/>'
