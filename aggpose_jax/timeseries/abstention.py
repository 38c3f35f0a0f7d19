"""Abstention: a keypoint that is probably wrong is left out."""

from typing import Protocol

import numpy as np

LEAST = 0.5  # probability that the error is below .1 torso lengths, from which on a keypoint is used


class ErrorModel(Protocol):
    """What is known of the errors of a network, from films whose truth is known."""

    @property
    def digest(self) -> str:
        """Returns the digest of the network, as in `recording.Facts`."""

    def expected_error(self, confidence: np.ndarray) -> np.ndarray:
        """Returns the expected errors [..., K] in torso lengths; NaN where the confidence [..., K] is NaN."""

    def probability(self, confidence: np.ndarray) -> np.ndarray:
        """Returns the [..., K] probabilities of an error below .1 torso lengths; NaN where the confidence is NaN."""


def find(confidence: np.ndarray, model: ErrorModel) -> np.ndarray:
    """Returns bool [T, P, K]: where a keypoint is more probably wrong than right.

    Args:
      confidence: [T, P, K] scores; NaN without a pose, where the result is false.
      model: of the network that gave the scores.
    """
    return model.probability(confidence) < LEAST
