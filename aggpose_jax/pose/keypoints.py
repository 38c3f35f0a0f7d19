"""Keypoint sets: the names of the K keypoints of a pose and their relations."""

import dataclasses
import functools
import json
import pathlib
import re
from typing import TypeGuard, TypeVar

import numpy as np

from aggpose_jax.errors import UserError

T = TypeVar("T")
# The word for a side in the name of a keypoint, as in left_eye, LeftEye, hipLeft or hip_L.
SIDE = re.compile(r"(?<![A-Za-z])(left|right|LEFT|RIGHT|l|r)(?![a-z])|(?<![A-Z])(Left|Right|L|R)(?![a-z])")
OPPOSITE = {"left": "right", "LEFT": "RIGHT", "Left": "Right", "l": "r", "L": "R"}
OPPOSITE |= {right: left for left, right in OPPOSITE.items()}


@dataclasses.dataclass(frozen=True)
class KeypointSet:
    """The names of K keypoints and their relations.

    Attributes:
      name: name of the set.
      names: names of the K keypoints. "left" and "right" are from the person's own perspective.
      flip_pairs: pairs of indices that are exchanged when an image is mirrored.
      skeleton: pairs of indices that are joined by a limb in drawings.
      sigmas: K per-keypoint constants of OKS, as in COCOeval (half of the k_i of Eq. OKS = exp(-d² / (2 s² k_i²))).
      upper_body: indices of the keypoints of the upper body, for half-body augmentation; the others are the lower body.
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
        """Returns the [K] index of the keypoint that replaces each keypoint in a mirrored image."""
        permutation = np.arange(len(self))
        for a, b in self.flip_pairs:
            permutation[[a, b]] = b, a
        return permutation

    @functools.cached_property
    def one_sided(self) -> list[str]:
        """The names of keypoints on one side of the body without a counterpart, for which mirroring is wrong."""
        paired = {k for pair in self.flip_pairs for k in pair}
        return [name for k, name in enumerate(self.names) if opposite(name) and k not in paired]

    @functools.cached_property
    def is_upper(self) -> np.ndarray:
        """Returns [K] bool: whether each keypoint belongs to the upper body."""
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
    """Returns the keypoint set of a name in KEYPOINT_SETS, of a file, or of the text of a file.

    `read_keypoint_set` describes the file format.

    Raises:
      UserError: the set is unknown, or the text does not describe a keypoint set.
    """
    text = read_keypoint_set(description)
    return KEYPOINT_SETS[text] if text in KEYPOINT_SETS else _from_fields(json.loads(text))


def read_keypoint_set(description: str) -> str:
    """Returns the validated text of a keypoint set file; a name in KEYPOINT_SETS or a JSON text is returned unchanged.

    A run stores this text, so that it does not depend on the file. The file is a JSON object with the `name` of the
    set, the list `keypoints` of the keypoint names, the lists `flip_pairs` and `skeleton` of pairs of these names, the
    list `upper_body` of names (for half-body augmentation), and the list `sigmas` of one number per keypoint.

    Raises:
      UserError: the file cannot be read or is invalid. The message contains the file and the problem.
    """
    if description in KEYPOINT_SETS or description.startswith("{"):
        return description
    try:
        text = pathlib.Path(description).read_text(encoding="utf-8")
        _from_fields(json.loads(text))
    except OSError as error:
        raise UserError(
            f"keypoint_set: {description} is neither {' nor '.join(KEYPOINT_SETS)} nor a file ({error.strerror}); give "
            "one of them"
        ) from error
    except ValueError as error:
        raise UserError(f"{description}: not valid JSON ({error}); correct the file") from error
    except UserError as error:
        raise UserError(f"{description}: {error}") from error
    return text.strip()


def _from_fields(fields: object) -> KeypointSet:
    expected = ("name", "keypoints", "flip_pairs", "skeleton", "sigmas", "upper_body")
    if not isinstance(fields, dict) or set(fields) != set(expected):
        raise UserError(f"a keypoint set must have exactly the fields {', '.join(expected)}")
    names, sigmas = fields["keypoints"], fields["sigmas"]
    if not _is_list(names, str) or not names or len(set(names)) < len(names):
        raise UserError(f"keypoints must be a list of distinct names, but is {names}")
    if not _is_list(sigmas, (int, float)) or len(sigmas) != len(names) or min(sigmas) <= 0:
        raise UserError(f"sigmas must be a list of {len(names)} positive numbers, one per keypoint, but is {sigmas}")
    index = {name: k for k, name in enumerate(names)}
    flip_pairs = _pairs("flip_pairs", fields["flip_pairs"], index)
    paired = [k for pair in flip_pairs for k in pair]
    if len(set(paired)) < len(paired):
        repeated = next(names[k] for k in paired if paired.count(k) > 1)
        raise UserError(f"flip_pairs contains {repeated} twice; a keypoint can be in one pair only")
    pairs = {frozenset((names[a], names[b])) for a, b in flip_pairs}
    for name in names:
        other = opposite(name)
        if other in index and {name, other} not in pairs:
            raise UserError(f"flip_pairs lacks the pair {name}, {other}, which are exchanged in a mirrored image")
    upper = fields["upper_body"]
    if not _is_list(upper, str) or not set(upper) <= set(names):
        raise UserError(f"upper_body must be a list of keypoint names, but is {upper}")
    return KeypointSet(
        name=str(fields["name"]),
        names=tuple(names),
        flip_pairs=flip_pairs,
        skeleton=_pairs("skeleton", fields["skeleton"], index),
        sigmas=tuple(map(float, sigmas)),
        upper_body=tuple(index[name] for name in upper),
    )


def opposite(name: str) -> str | None:
    """Returns the name of the same keypoint on the other side of the body; None if the name has no side."""
    found = SIDE.search(name)
    return found and name[: found.start()] + OPPOSITE[found[0]] + name[found.end() :]


def _pairs(field: str, pairs: object, index: dict[str, int]) -> tuple[tuple[int, int], ...]:
    if not _is_list(pairs, list):
        raise UserError(f"{field} must be a list of pairs, but is {pairs}")
    for pair in pairs:
        if not _is_list(pair, str) or len(pair) != 2 or not set(pair) <= index.keys():
            raise UserError(f"{field} contains {pair}, which is not a pair of keypoint names")
    return tuple((index[a], index[b]) for a, b in pairs)


def _is_list(value: object, kind: type[T] | tuple[type[T], ...]) -> TypeGuard[list[T]]:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
