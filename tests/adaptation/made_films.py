"""Films as a network sees them, for tests: stick figures without a network."""

import pathlib

import numpy as np
from stick_figures import stick_figure

from aggpose_jax.adaptation.films import Film
from aggpose_jax.data import videos

TORSO = 30.0


def make_film(folder: pathlib.Path, name: str = "film", frames: int = 4) -> Film:
    """Writes a grey film of 160 × 120 pixels; its eight keypoints move one pixel a frame and score .9."""
    path = folder / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    videos.write_frames(((i / 30, np.full((120, 160, 3), 90, np.uint8)) for i in range(frames)), path)
    keypoints = np.full((frames, 8, 3), 0.9)
    for i in range(frames):
        keypoints[i, :, :2] = stick_figure((70 + i, 55), 60.0)
    return Film(name, path, np.arange(frames), keypoints, keypoints.copy(), keypoints.copy(), TORSO)
