"""Draws a record of a synthetic infant: the image, its keypoints and which of them cannot be seen."""

import dataclasses

import numpy as np

from aggpose_jax.data.synthetic.degradation import Degradation, degrade, sample_degradation
from aggpose_jax.data.synthetic.rendering import draw
from aggpose_jax.data.synthetic.staging import Scene, Variety, sample_scene
from aggpose_jax.data.synthetic.styles import Style


@dataclasses.dataclass(frozen=True)
class Infant:
    """One infant, or none, with all that determines its images: a scene and the faults of its camera."""

    scene: Scene
    faults: Degradation


def sample_infant(seed: tuple[int, ...], style: Style, variety: Variety, moving: bool) -> Infant:
    """Returns a random infant, a pure function of the seed."""
    scene = sample_scene(np.random.default_rng((*seed, 0)), style, variety, moving)
    return Infant(scene, sample_degradation(np.random.default_rng((*seed, 1)), variety.degradation))


def draw_frame(infant: Infant, frame: int, fps: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the image uint8 [H, W, 3] RGB and the keypoints (see `rendering.View`) of a frame of a film."""
    view = draw(infant.scene, frame / fps)
    return degrade(view.image, infant.faults, view.head, frame), view.keypoints
