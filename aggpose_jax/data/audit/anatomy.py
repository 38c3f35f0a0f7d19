"""Finds persons whose left and right look exchanged, or with a bone that is too long for their body."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from aggpose_jax.data.audit.dataset import Persons
from aggpose_jax.data.audit.findings import Finding, of_person
from aggpose_jax.pose.keypoints import KeypointSet

TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
MIN_OFFSET = 0.2  # half-frontal views and more; in torso lengths, of which frontal shoulders have .7 and hips .4
MIN_PERSONS = 20  # persons with a bone, from which its usual length is known
MAD_FACTOR = 6.0
MIN_FACTOR = 2.5  # a bone this many times as long as usual is suspicious
MAX_LENGTH = 2.0  # longest bone in torso lengths
MAD_TO_DEVIATION = 1.4826  # standard deviation of a normal distribution / its median absolute deviation


@dataclasses.dataclass(frozen=True)
class _Bones:
    """The lengths of the B bones of N persons of one keypoint set.

    `length` [N, B] in pixels and `torso` [N], between the midpoints of shoulders and hips, are NaN if unlabelled.
    """

    length: np.ndarray
    torso: np.ndarray


def check_sides(persons: Persons) -> Iterable[Finding]:
    """Finds persons whose shoulders and hips disagree on which side of the trunk is left.

    The line from the middle of the shoulders to that of the hips divides the image. If left is on one side of it at the
    shoulders and on the other at the hips, one of the two pairs is exchanged. Both pairs must be at least MIN_OFFSET
    torso lengths wide across the line, as in side views and twisted trunks the sides are close to it. A prone person
    has left and right exchanged at both, and so does one seen from behind: that is no fault. Arms and legs are not
    considered, because they cross.
    """
    index = _trunk(persons.keypoint_set)
    if not index:
        return
    is_labelled = persons.is_labelled[:, index].all(axis=1)
    left_shoulder, right_shoulder, left_hip, right_hip = persons.keypoints[:, index, :2].swapaxes(0, 1)
    trunk = (left_hip + right_hip - left_shoulder - right_shoulder) / 2
    square = np.maximum((trunk**2).sum(axis=1), 1e-9)
    shoulders = _cross(trunk, left_shoulder - right_shoulder) / square
    hips = _cross(trunk, left_hip - right_hip) / square
    is_wide = np.minimum(abs(shoulders), abs(hips)) >= MIN_OFFSET
    for row in np.flatnonzero(is_labelled & is_wide & (shoulders * hips < 0)):
        text = (
            "Left is on one side of the trunk at the shoulders and on the other side at the hips; exchange left and "
            "right where they are wrong (left is the person's own left)."
        )
        yield of_person("sides_swapped", persons.split, persons.image[row], persons.annotation[row], text)


def check_bones(groups: Sequence[Persons]) -> Iterable[Finding]:
    """Finds persons with a bone that is longer than 2 torso lengths, or far longer than it usually is.

    A bone is far longer than usual if the logarithm of its ratio to the torso is more than 6 standard deviations
    (estimated from the median absolute deviation) above the median of all persons, and the ratio is at least 2.5 times
    the usual one. That needs 20 persons with this bone. A trunk that points to the camera makes all other bones look
    long; so the torso length is that in the image or the one that the median of the person's bones suggests, whichever
    is greater. Bones are never too short, since any of them may point to the camera.

    Args:
      groups: the persons of all splits.
    """
    by_names = defaultdict(list)
    for persons in groups:
        if _trunk(persons.keypoint_set) and persons.keypoint_set.skeleton:
            by_names[persons.keypoint_set.names, persons.keypoint_set.skeleton].append(persons)
    for same in by_names.values():
        bones = [_measure(persons) for persons in same]
        all_ratios = np.concatenate([one.length / one.torso[:, None] for one in bones])
        usual, limit = _usual_ratios(all_ratios)
        for persons, one in zip(same, bones, strict=True):
            yield from _too_long(persons, one, usual, limit)


def _too_long(persons: Persons, bones: _Bones, usual: np.ndarray, limit: np.ndarray) -> Iterable[Finding]:
    """Returns findings for persons with bones whose ratio to the torso exceeds the limit [B]; `usual` [B] is usual."""
    ratio = bones.length / _torso_by_bones(bones, usual)[:, None]
    names = persons.keypoint_set.names
    for row in np.flatnonzero((ratio > limit).any(axis=1)):
        worst = int(np.nanargmax(ratio[row] / limit))
        a, b = persons.keypoint_set.skeleton[worst]
        known = f", usually {usual[worst]:.2g}" if np.isfinite(usual[worst]) else ""
        text = (
            f"The line from {names[a]} to {names[b]} is {ratio[row, worst]:.2g} torso lengths long{known}; correct the "
            "keypoint that is in the wrong place."
        )
        yield of_person("implausible_bone", persons.split, persons.image[row], persons.annotation[row], text)


def _measure(persons: Persons) -> _Bones:
    points = np.where(persons.keypoints[..., 2:] > 0, persons.keypoints[..., :2], np.nan)
    start, end = np.transpose(persons.keypoint_set.skeleton)
    left_shoulder, right_shoulder, left_hip, right_hip = points[:, _trunk(persons.keypoint_set)].swapaxes(0, 1)
    torso = np.linalg.norm(left_shoulder + right_shoulder - left_hip - right_hip, axis=1) / 2
    return _Bones(np.linalg.norm(points[:, start] - points[:, end], axis=-1), np.where(torso > 0, torso, np.nan))


def _usual_ratios(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the median [B] of the ratios [N, B] of bones to the torso, NaN if unknown, and their limit [B]."""
    usual, limit = np.full(ratios.shape[1], np.nan), np.full(ratios.shape[1], MAX_LENGTH)
    for bone, column in enumerate(ratios.T):
        known = np.log(column[column > 0])
        if len(known) >= MIN_PERSONS:
            median = np.median(known)
            deviation = MAD_TO_DEVIATION * np.median(abs(known - median))
            usual[bone] = np.exp(median)
            far = median + max(MAD_FACTOR * deviation, np.log(MIN_FACTOR))
            limit[bone] = min(np.exp(far), MAX_LENGTH)
    return usual, limit


def _torso_by_bones(bones: _Bones, usual: np.ndarray) -> np.ndarray:
    """Returns torso lengths [N] in pixels: the greater one of that in the image and of what other bones suggest."""
    suggested = bones.length / usual
    torso = bones.torso.copy()
    for row in np.flatnonzero(np.isfinite(torso) & np.isfinite(suggested).any(axis=1)):
        torso[row] = max(torso[row], np.nanmedian(suggested[row]))
    return torso


def _trunk(keypoint_set: KeypointSet) -> list[int]:
    """Returns the indices of the keypoints of TRUNK; an empty list if the set lacks one."""
    names = keypoint_set.names
    return [names.index(name) for name in TRUNK] if set(TRUNK) <= set(names) else []


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cross products [N] of vectors [N, 2]."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
