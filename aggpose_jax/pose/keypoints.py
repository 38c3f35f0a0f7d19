"""Keypoint sets: what the K points of a pose are called and how they belong together."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class KeypointSet:
    """The names of K keypoints and their relations.

    Attributes:
      name: of the set.
      names: K names. "left" and "right" are the person's own.
      flip_pairs: pairs of indices that change places when an image is mirrored.
      skeleton: pairs of indices that are drawn as limbs.
      sigmas: K tolerances of OKS, as in COCOeval (half of the k_i of Eq. OKS = exp(-d² / (2 s² k_i²))).
      upper_body: indices of the upper body, for half-body augmentation; the rest is the lower body.
    """

    name: str
    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    skeleton: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    upper_body: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def flip_permutation(self) -> np.ndarray:
        """[K] index of the point that takes each point's place in the mirror."""
        permutation = np.arange(len(self))
        for a, b in self.flip_pairs:
            permutation[[a, b]] = b, a
        return permutation

    @property
    def is_upper(self) -> np.ndarray:
        """[K] bool: the point belongs to the upper body."""
        return np.isin(np.arange(len(self)), self.upper_body)


COCO_17 = KeypointSet(
    name="coco_17",
    names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=tuple((i, i + 1) for i in range(1, 16, 2)),
    skeleton=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    upper_body=tuple(range(11)),
)  # fmt: skip

_INFANT_SIDE = ("eye", "shoulder", "elbow", "wrist", "middle_finger", "hip", "knee", "ankle", "toe")

INFANT_21 = KeypointSet(
    name="infant_21",
    names=(
        *(f"right_{part}" for part in _INFANT_SIDE),
        *(f"left_{part}" for part in _INFANT_SIDE),
        "chin", "chest", "navel",
    ),
    flip_pairs=tuple((i, i + 9) for i in range(9)),
    skeleton=(
        (0, 18), (9, 18), (18, 19), (19, 1), (1, 2), (2, 3), (3, 4), (19, 10), (10, 11), (11, 12), (12, 13),
        (19, 20), (20, 5), (5, 6), (6, 7), (7, 8), (20, 14), (14, 15), (15, 16), (16, 17),
    ),
    sigmas=(0.05,) * 21,
    upper_body=(0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 18, 19),
)  # fmt: skip

KEYPOINT_SETS = {s.name: s for s in (COCO_17, INFANT_21)}
