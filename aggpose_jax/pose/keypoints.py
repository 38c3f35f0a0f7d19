"""Keypoint sets: what the K points of a pose are called and how they belong together."""

import dataclasses
import functools
import json
import pathlib

import numpy as np

from aggpose_jax.errors import UserError


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

    @functools.cached_property
    def flip_permutation(self) -> np.ndarray:
        """[K] index of the point that takes each point's place in the mirror."""
        permutation = np.arange(len(self))
        for a, b in self.flip_pairs:
            permutation[[a, b]] = b, a
        return permutation

    @functools.cached_property
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


def find_keypoint_set(description: str) -> KeypointSet:
    """The set of a name of KEYPOINT_SETS, a file or the text of one (see `read_keypoint_set`).

    Raises:
      UserError: there is no such set, or the text does not describe one.
    """
    text = read_keypoint_set(description)
    return KEYPOINT_SETS[text] if text in KEYPOINT_SETS else _from_fields(json.loads(text))


def read_keypoint_set(description: str) -> str:
    """What a run keeps of a keypoint set: a file's text, checked, so that the file may move; anything else as it is.

    The file is a JSON object with `name`, the list `keypoints` of their names, and, naming these, the lists
    `flip_pairs` and `skeleton` of pairs, `upper_body` (for half-body augmentation) and `sigmas`, one number a keypoint.

    Raises:
      UserError: naming the file and what is wrong in it.
    """
    if description in KEYPOINT_SETS or description.startswith("{"):
        return description
    try:
        text = pathlib.Path(description).read_text()
        _from_fields(json.loads(text))
    except OSError as error:
        raise UserError(
            f"keypoint_set: {description} is neither {' nor '.join(KEYPOINT_SETS)} nor a file ({error.strerror})"
        ) from error
    except ValueError as error:
        raise UserError(f"{description}: is not JSON ({error})") from error
    except UserError as error:
        raise UserError(f"{description}: {error}") from error
    return text.strip()


def _from_fields(fields: object) -> KeypointSet:
    expected = ("name", "keypoints", "flip_pairs", "skeleton", "sigmas", "upper_body")
    if not isinstance(fields, dict) or set(fields) != set(expected):
        raise UserError(f"a keypoint set has the fields {', '.join(expected)}, no less and no more")
    names, sigmas = fields["keypoints"], fields["sigmas"]
    if not _is_list(names, str) or not names or len(set(names)) < len(names):
        raise UserError(f"keypoints must be different names; they are {names}")
    if not _is_list(sigmas, (int, float)) or len(sigmas) != len(names) or min(sigmas) <= 0:
        raise UserError(f"sigmas must be {len(names)} positive numbers, one for each keypoint; they are {sigmas}")
    index = {name: k for k, name in enumerate(names)}
    flip_pairs = _pairs("flip_pairs", fields["flip_pairs"], index)
    paired = [k for pair in flip_pairs for k in pair]
    if len(set(paired)) < len(paired):
        twice = next(names[k] for k in paired if paired.count(k) > 1)
        raise UserError(f"flip_pairs name {twice} twice; mirroring an image twice must give it back")
    upper = fields["upper_body"]
    if not _is_list(upper, str) or not set(upper) <= set(names):
        raise UserError(f"upper_body must be names of keypoints; it is {upper}")
    return KeypointSet(
        name=str(fields["name"]),
        names=tuple(names),
        flip_pairs=flip_pairs,
        skeleton=_pairs("skeleton", fields["skeleton"], index),
        sigmas=tuple(map(float, sigmas)),
        upper_body=tuple(index[name] for name in upper),
    )


def _pairs(field: str, pairs: object, index: dict[str, int]) -> tuple[tuple[int, int], ...]:
    if not _is_list(pairs, list):
        raise UserError(f"{field} must be a list of pairs; it is {pairs}")
    for pair in pairs:
        if not _is_list(pair, str) or len(pair) != 2 or not set(pair) <= index.keys():
            raise UserError(f"{field} has {pair}, which is not two names of keypoints")
    return tuple((index[a], index[b]) for a, b in pairs)


def _is_list(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
