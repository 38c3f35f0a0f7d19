"""Pseudo-labels: a network labels the infants of the pool that have no label, and is trained on its sure points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fine_tuning import FineTuning, Settings

from aggpose_jax.adaptation import selection
from aggpose_jax.data import pipeline
from aggpose_jax.data.views import Augmentation
from aggpose_jax.pose.metrics import torso_length

ROUNDS = 2
# The student sees harder images than its teacher, see Xie et al. 2020; the other values are those of the fine-tuning.
STRONG = Augmentation(
    half_body=0.0, scale=0.25, rotation=30.0, rotation_probability=0.5, flip=0.5, cutout=0.5, shift=0.1
)


def adapt(
    tuner: FineTuning, teacher: Any, labelled: Sequence[dict], pool: Sequence[dict], settings: Settings
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
    """
    counts = []
    for number in range(ROUNDS):
        pseudo, sure = pseudo_labelled(tuner, teacher, pool)
        counts.append({"used": len(pseudo), "sure": sure})
        if not pseudo:
            break
        repeated = [labelled[index % len(labelled)] for index in range(len(pseudo))]
        seed = settings.seed + 10_000 * (number + 1)
        teacher = tuner.train(teacher, repeated + pseudo, settings._replace(seed=seed), STRONG)
    return teacher, counts


def pseudo_labelled(tuner: FineTuning, teacher: Any, pool: Sequence[dict]) -> tuple[list[dict], float]:
    """Returns the used records of the pool, labelled with the teacher's sure points, and the ratio of sure points."""
    keypoints, mirrored = estimates(tuner, teacher, pool)
    found = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :1])], axis=-1)
    chosen = selection.select(keypoints, mirrored, torso_length(found, tuner.model.keypoint_set))
    records = []
    for index in np.flatnonzero(chosen.used):
        visible = np.where(chosen.sure[index], 2.0, 0.0)[:, None]
        labels = np.concatenate([keypoints[index, :, :2], visible], axis=-1).astype(np.float32)
        records.append({**pool[index], "keypoints": labels})
    return records, float(chosen.sure.mean())


def estimates(tuner: FineTuning, variables: Any, records: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the keypoints [N, K, 3] of a network in the crops of records and in their mirror images, mapped back."""
    both = []
    for batch in pipeline.evaluation_batches(records, tuner.make_batch(None), batch_size=50, threads=1):
        valid = batch["valid"] > 0
        both.append([found[valid] for found in tuner.estimate_both(variables, batch)])
    keypoints, mirrored = (np.concatenate(parts) for parts in zip(*both, strict=True))
    return keypoints, mirrored
