"""Makes keypoint sets from names alone, as label files and tables of results have them, and writes them as files."""

import re
from collections.abc import Iterable, Sequence

from aggpose_jax.pose.keypoints import KEYPOINT_SETS, KeypointSet, opposite

SIGMA = 0.05  # OKS sigma of a keypoint whose spread nobody has measured; that of all keypoints of infant_21
_WORDS = (("left", "right"), ("right", "left"), ("Left", "Right"), ("Right", "Left"))


def plain(name: object) -> str:
    """Returns a keypoint name for comparisons: in lower case, each run of other characters as one underscore.

    Names in files of other tools need not be strings.
    """
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower())


def known_set(names: Sequence[str]) -> KeypointSet | None:
    """Returns the set of this package that has exactly these keypoints, in any order; None if none has."""
    given = sorted(map(plain, names))
    return next((known for known in KEYPOINT_SETS.values() if sorted(map(plain, known.names)) == given), None)


def set_of_names(names: Sequence[str], name: str, skeleton: Iterable[Sequence[str]] = ()) -> KeypointSet:
    """Returns a new set of keypoints, with the pairs of `flip_pairs`, sigmas of SIGMA, and all of them as upper body.

    Args:
      names: names of the K keypoints.
      name: name of the set.
      skeleton: pairs of names that limbs join; those with another name are left out.
    """
    index = {one: k for k, one in enumerate(names)}
    limbs = tuple((index[a], index[b]) for a, b in skeleton if a in index and b in index)
    everything = tuple(range(len(names)))
    return KeypointSet(name, tuple(names), flip_pairs(names), limbs, (SIGMA,) * len(names), everything)


def flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Returns the pairs of indices of names that differ only in the side of the body, each pair once.

    The side is a word as in `keypoints.opposite`, or is joined to the part as in leftear, if the set has both names.
    """
    index = {name: k for k, name in enumerate(names)}
    pairs: list[tuple[int, int]] = []
    for name, k in index.items():
        joined = [name.replace(side, other, 1) for side, other in _WORDS if side in name]
        found = next((index[other] for other in (opposite(name), *joined) if other in index), None)
        if found is not None and k < found and found not in {b for _, b in pairs}:
            pairs.append((k, found))
    return tuple(pairs)


def to_fields(keypoint_set: KeypointSet) -> dict[str, object]:
    """Returns the content of a keypoint set file, which `keypoints.read_keypoint_set` describes."""
    names = keypoint_set.names
    return {
        "name": keypoint_set.name,
        "keypoints": list(names),
        "flip_pairs": [[names[a], names[b]] for a, b in keypoint_set.flip_pairs],
        "skeleton": [[names[a], names[b]] for a, b in keypoint_set.skeleton],
        "sigmas": list(keypoint_set.sigmas),
        "upper_body": [names[k] for k in keypoint_set.upper_body],
    }
