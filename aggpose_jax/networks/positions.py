"""Fixed sine positions of the tokens of a map (TransPose, Yang et al. 2021, §3.2; TokenPose, Li et al. 2021)."""

import functools

import numpy as np

TEMPERATURE = 10000.0


@functools.lru_cache(maxsize=8)
def sine_positions(height: int, width: int, channels: int) -> np.ndarray:
    """Returns the positions of a map row by row, float32 [height · width, channels], equal to those in published files.

    The first half of the channels tells the row, the second the column.
    """
    half = channels // 2
    frequency = TEMPERATURE ** (-2 * (np.arange(half) // 2) / half)

    def waves(count: int) -> np.ndarray:
        angles = (2 * np.pi * np.arange(1, count + 1) / (count + 1e-6))[:, None] * frequency
        return np.where(np.arange(half) % 2, np.cos(angles), np.sin(angles))

    grid = np.broadcast_arrays(waves(height)[:, None], waves(width)[None])
    return np.concatenate(grid, axis=-1).reshape(height * width, channels).astype(np.float32)
