"""What an adaptation did: the labels of each round, and how the network changed on the films."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aggpose_jax.adaptation.films import Film
from aggpose_jax.adaptation.selection import AGREEMENT, REASONS, Selection, disagreement
from aggpose_jax.pose.keypoints import KeypointSet
from aggpose_jax.training.reporting import table

NOTE = "Agreement is not accuracy: two networks, or an image and its mirror image, can agree on a wrong place."


def of_selection(selections: Sequence[Selection], keypoint_set: KeypointSet) -> dict[str, Any]:
    """Returns how many of the examined frames and keypoints of all films are used, and why the others are not."""
    sure = np.concatenate([one.sure for one in selections])
    refused = np.sum([one.refused for one in selections], axis=(0, 2))
    return {
        "frames_seen": len(sure),
        "frames_used": int(np.sum([one.used.sum() for one in selections])),
        "sure": dict(zip(keypoint_set.names, sure.mean(axis=0).tolist(), strict=True)),
        "refused": dict(zip(REASONS, refused.tolist(), strict=True)),
    }


def of_change(before: Sequence[Film], after: Sequence[Film]) -> dict[str, Any]:
    """Returns how far two networks agree on the same films, and each of them with itself on mirror images.

    All distances are in torso lengths of the films as found by the first network, over the examined frames. Those to
    mirror images are over the points that both networks have found.

    Args:
      before, after: films as examined with either network; those that only one could read are left out.
    """
    others = {film.name: film for film in after}
    pairs = [(film, others[film.name]) for film in before if film.name in others]
    pairs = [(film, other) for film, other in pairs if np.array_equal(film.rows, other.rows)]
    moved = _values(disagreement(a.keypoints[a.rows], b.keypoints[b.rows], a.torso) for a, b in pairs)
    mirrored = [(_mirror(a, a.torso), _mirror(b, a.torso)) for a, b in pairs]
    both = [np.isfinite(a) & np.isfinite(b) for a, b in mirrored]
    first, last = (_values(one[side][use] for one, use in zip(mirrored, both, strict=True)) for side in (0, 1))
    return {
        "points": len(moved),
        "distance_median": _or_none(np.median, moved),
        "distance_95": _or_none(lambda values: np.quantile(values, 0.95), moved),
        "moved": _or_none(lambda values: np.mean(values > AGREEMENT), moved),
        "mirror_points": len(first),
        "mirror_before": _or_none(np.mean, first),
        "mirror_after": _or_none(np.mean, last),
    }


def _mirror(film: Film, torso: float) -> np.ndarray:
    return disagreement(film.straight, film.mirrored, torso)


def _values(arrays) -> np.ndarray:
    """Returns all finite values of arrays, in one dimension."""
    values = np.concatenate([np.zeros(0), *(array.ravel() for array in arrays)])
    return values[np.isfinite(values)]


def _or_none(function, values: np.ndarray) -> float | None:
    return float(function(values)) if len(values) else None


def text(report: dict[str, Any]) -> str:
    """Returns a report as text: the tables of the rounds, the change on the films, and AP with labels.

    Args:
      report: has `rounds`, by `of_selection`; `change`, by `of_change`; and `AP` by split, before and after.
    """
    rounds = {f"round {number}": one for number, one in enumerate(report["rounds"], 1)}
    lines = [f"{name}: {round_line(one)}" for name, one in rounds.items()]
    names = list(report["rounds"][0]["sure"])
    lines += ["", "ratio of frames in which a keypoint was sure"]
    lines.append(table({name: {key: one["sure"][name] for key, one in rounds.items()} for name in names}, [*rounds]))
    lines += ["", *_change_lines(report["change"])]
    for split, values in report["AP"].items():
        lines.append(f"AP on the split {split} of --labels: {values['before']:.3f} before, {values['after']:.3f} after")
    return "\n".join([*lines, NOTE])


def round_line(one: dict[str, Any]) -> str:
    """Returns the numbers of frames and of refused keypoints of a round, by `of_selection`, as a line."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in one["refused"].items())
    return f"{one['frames_used']} of {one['frames_seen']} frames used; keypoints refused: {reasons}"


def _change_lines(change: dict[str, Any]) -> list[str]:
    if not change["points"] or not change["mirror_points"]:
        return ["the networks before and after have found no keypoint in the same frames"]
    return [
        f"network before and after, on {change['points']} keypoints of the films, in torso lengths: median distance "
        f"{change['distance_median']:.3f}, 95 % below {change['distance_95']:.3f}, "
        f"moved by more than {AGREEMENT}: {change['moved']:.1%}",
        f"mean distance to the keypoints of the mirrored image: {change['mirror_before']:.3f} before, "
        f"{change['mirror_after']:.3f} after",
    ]
