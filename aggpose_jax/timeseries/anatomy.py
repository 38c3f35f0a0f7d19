"""Whether a skeleton has the proportions of one body: the variation of its torso length."""

import itertools
from collections.abc import Iterator

import numpy as np

from aggpose_jax.timeseries.medians import median

# A change of the torso length is lasting, such as by rolling over, if the lengths before and after it differ by more
# than CHANGED (as a ratio) and each of them is held for LASTING seconds. The movement itself takes up to two seconds.
CHANGED, LASTING, MOVEMENT = 0.10, 2.0, 1.0
SETTLED = 0.5  # ratio of the frames; an infant rolls over rarely, but a skeleton may jump all the time
SMOOTHED = LASTING  # seconds of the running median in which changes are searched, without the movement between them


def variation(length: np.ndarray, time: np.ndarray) -> float:
    """Returns the largest variation of the torso length in a segment without a lasting change; NaN if unknown.

    The variation is the standard deviation divided by the mean. The second before and after a lasting change is left
    out.

    Args:
      length: [T] torso length in each frame; NaN where missing.
      time: [T] seconds, rising.
    """
    known = np.isfinite(length)
    length, time = length[known], time[known]
    spread = [float(length[part].std() / length[part].mean()) for part in segments(length, time) if length[part].any()]
    return max(spread, default=float("nan"))


def segments(length: np.ndarray, time: np.ndarray) -> list[slice]:
    """Returns the segments between lasting changes of the torso length, without the second next to each change.

    If changes follow each other so fast that less than SETTLED of the film would remain, it is one segment.

    Args:
      length: [T] torso length in each frame, without a missing one.
      time: [T] seconds, rising.
    """
    cuts = [-np.inf, *(time[cut] for cut in sorted(_changes(_smooth(length, time), time, 0))), np.inf]
    parts = []
    for start, end in itertools.pairwise(cuts):
        low, high = np.searchsorted(time, (start + MOVEMENT, end - MOVEMENT))  # Infinite bounds stay infinite.
        parts.append(slice(int(low), max(int(low), int(high))))
    if sum(part.stop - part.start for part in parts) < SETTLED * len(length):
        parts = [slice(0, len(length))]
    return [part for part in parts if part.stop - part.start > 1]


def _changes(length: np.ndarray, time: np.ndarray, offset: int) -> Iterator[int]:
    """Yields the indices, counted from `offset`, at which lasting changes of smooth lengths [T] begin."""
    low, high = np.searchsorted(time, (time[0] + LASTING, time[-1] - LASTING)) if len(time) else (0, 0)
    if low >= high:
        return
    cut = _best_cut(length, int(low), int(high))
    before, after = _middle_half(length[:cut]), _middle_half(length[cut:])
    if max(before, after) > (1 + CHANGED) * min(before, after):
        yield offset + cut
        yield from _changes(length[:cut], time[:cut], offset)
        yield from _changes(length[cut:], time[cut:], offset + cut)


def _best_cut(length: np.ndarray, low: int, high: int) -> int:
    """Returns the index from `low` to `high` - 1 at which the means before and after explain most of the variance."""
    cuts = np.arange(low, high)
    before = np.cumsum(length)[cuts - 1]
    means = before / cuts, (length.sum() - before) / (len(length) - cuts)
    return int(cuts[np.argmax(cuts * (len(length) - cuts) * (means[0] - means[1]) ** 2)])


def _middle_half(length: np.ndarray) -> float:
    """Returns the mean of the middle half of the sorted lengths, so that a moment at another length does not count."""
    cut = len(length) // 4
    return float(np.sort(length)[cut : len(length) - cut].mean())


def _smooth(length: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Returns the running median of lengths [T] over SMOOTHED seconds."""
    if len(time) < 3:
        return length
    half = int(SMOOTHED / 2 / np.median(np.diff(time)))
    padded = np.pad(length, half, mode="edge")
    return median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1))
