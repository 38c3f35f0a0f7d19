"""The objective of pose networks: from a batch of crops with keypoints to the loss and the metrics of the step."""

import jax
import jax.numpy as jnp

from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.pose.codec import argmax
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.losses import heatmap_mse
from aggpose_jax.training.task import Batch, Variables

NEAR = 0.05  # threshold of the PCK of training batches, as a fraction of the height of the crop


class PoseObjective:
    """The loss of heatmaps, including the colour jitter and the stochastic depth of training.

    Args:
      pose_model: the network, and the codec that encodes its targets.
      color_jitter: probability that the colours of a crop are changed.
      hardest_keypoints: number of keypoints of each crop that count in the loss, see `heatmap_mse`; with 0 all count.
    """

    def __init__(self, pose_model: PoseModel, color_jitter: float, hardest_keypoints: int):
        self._pose_model, self._color_jitter, self._hardest = pose_model, color_jitter, hardest_keypoints

    def __call__(
        self, variables: Variables, batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Variables]]:
        """Returns the loss and (metrics, updated collections), see `task.Task.loss`.

        The metric PCK is the fraction of labelled keypoints whose heatmap maximum is within NEAR of the target.
        """
        color_rng, drop_path_rng = jax.random.split(rng)
        network, codec = self._pose_model.network, self._pose_model.codec
        image = to_unit(batch["image"])
        if self._color_jitter:
            image = color.jitter(color_rng, image, self._color_jitter)
        image = normalise(image, self._pose_model.protocol.bgr)
        heatmaps, collections = apply_training(network, variables, image, drop_path_rng=drop_path_rng)
        targets, weight = codec.encode(batch["keypoints"], batch["weight"])
        # The heatmap of a keypoint that is known to be absent is trained to be 0.
        counted = jnp.maximum(weight, batch["absent"]) if "absent" in batch else weight
        loss = heatmap_mse(heatmaps, targets, counted, self._hardest)
        points = codec.to_input(argmax(heatmaps)[0])
        near = jnp.linalg.norm(points - batch["keypoints"], axis=-1) < NEAR * codec.input_size[0]
        metrics = {"loss": loss, "PCK": (near * weight).sum() / jnp.maximum(weight.sum(), 1)}
        return loss, (metrics, collections)
