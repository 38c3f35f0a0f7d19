"""How the camera moved during a film."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class CameraMotion:
    """The movement of the background of a film in T frames.

    Attributes:
      path: [T, 2] x and y displacement of the middle of the image since the first frame, as a fraction of the image's
        diagonal; NaN where it could not be measured.
      jumped: bool [T]: the whole picture changed since the frame before, and no displacement explains it.
    """

    path: np.ndarray
    jumped: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """Returns bool [T]: where the displacement is known."""
        known: np.ndarray = np.isfinite(self.path).all(axis=1)
        return known

    @property
    def range(self) -> float:
        """Returns the largest displacement from the median place, as a fraction of the diagonal; NaN if unknown."""
        known = self.path[self.measured]
        if not len(known):
            return float("nan")
        return float(np.linalg.norm(known - np.median(known, axis=0), axis=1).max())
