"""Pseudo-labels: a network labels the infants of the pool that have no label, and is trained on its sure points."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from fine_tuning import FineTuning, Settings

from aggpose_jax.adaptation import selection
from aggpose_jax.data.views import Augmentation
from aggpose_jax.pose.metrics import torso_length

ROUNDS = 2


def stronger(augmentation: Augmentation) -> Augmentation:
    """Returns an augmentation with which the student sees harder images than its teacher (Xie et al. 2020)."""
    return dataclasses.replace(
        augmentation,
        scale=max(augmentation.scale, 0.25),
        rotation=max(augmentation.rotation, 30.0),
        rotation_probability=max(augmentation.rotation_probability, 0.5),
        cutout=0.5,
        shift=0.1,
    )


def adapt(
    tuner: FineTuning,
    teacher: Any,
    labelled: Sequence[dict],
    pool: Sequence[dict],
    settings: Settings,
    length: float | None = None,
) -> tuple[Any, list[dict]]:
    """Returns the variables after ROUNDS rounds of pseudo-labels and training, and the counts of each round.

    Every round starts from the variables of the teacher, the trained network of the round before. Half of the images
    of a batch are labelled ones.

    Args:
      tuner: the network and its training.
      teacher: variables of the network that was trained on the labelled records.
      labelled: labelled records.
      pool: records whose labels are not used.
      settings: learning rate, layer decay, steps and seed of a round.
      length: torso length in pixels; None takes that of each estimate.
    """
    counts = []
    for number in range(ROUNDS):
        pseudo, sure = pseudo_labelled(tuner, teacher, pool, length)
        counts.append({"used": len(pseudo), "sure": sure})
        if not pseudo:
            break
        repeated = [labelled[index % len(labelled)] for index in range(len(pseudo))]
        seed = settings.seed + 10_000 * (number + 1)
        teacher = tuner.train(teacher, repeated + pseudo, settings._replace(seed=seed), stronger(tuner.augmentation))
    return teacher, counts


def pseudo_labelled(
    tuner: FineTuning, teacher: Any, pool: Sequence[dict], length: float | None
) -> tuple[list[dict], float]:
    """Returns the used records of the pool, labelled with the teacher's sure points, and the ratio of sure points."""
    keypoints, mirrored = tuner.estimate_both(teacher, pool)
    if length is None:
        found = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :1])], axis=-1)
        torso = torso_length(found, tuner.model.keypoint_set)
    chosen = selection.select(keypoints, mirrored, torso if length is None else length)
    records = []
    for index in np.flatnonzero(chosen.used):
        visible = np.where(chosen.sure[index], 2.0, 0.0)[:, None]
        labels = np.concatenate([keypoints[index, :, :2], visible], axis=-1).astype(np.float32)
        records.append({**pool[index], "keypoints": labels})
    return records, float(chosen.sure.mean())
