"""The median of the values that are not missing."""

import numpy as np


def median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the median along an axis without NaN; NaN, and no warning as from `np.nanmedian`, where all are NaN."""
    ordered = np.sort(np.moveaxis(values, axis, -1), axis=-1)  # NaN comes last.
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    if not ordered.shape[-1]:
        return np.full(ordered.shape[:-1], np.nan)
    low, high = (np.take_along_axis(ordered, np.maximum(k, 0), axis=-1) for k in ((count - 1) // 2, count // 2))
    return np.where(count > 0, (low + high) / 2, np.nan)[..., 0]
