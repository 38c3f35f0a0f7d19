"""Keypoints of persons in crops, learned as heatmaps (AggPose §4.1)."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from aggpose_jax.data import pipeline, transforms
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.data.tfds import TfdsKeypoints
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import evaluation, pictures
from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.pose.codec import argmax
from aggpose_jax.pose.draw import heatmap_grid
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.losses import heatmap_mse
from aggpose_jax.training.task import Batch, Variables
from aggpose_jax.training.task_parts import ComposedTask, TaskData

NEAR = 0.05  # of the crop's height: a keypoint within it counts as found in the PCK of training batches


class PoseTask(ComposedTask):
    """Trains a pose model on persons with labelled keypoints; a `task.Task`.

    Raises:
      UserError: for a configuration that does not fit together.
    """

    metric, lower_is_better = "AP", False
    summary = ("AP", "AR")
    columns = (*METRICS, "OKS_p5", "OKS_p50", "PCK@0.1")
    afterwards = (
        ("evaluate", "python -m aggpose_jax.evaluate --checkpoint {workdir}"),
        ("export", "python -m aggpose_jax.convert to-torch weights.safetensors --checkpoint {workdir}"),
    )

    def __init__(self, config: ml_collections.ConfigDict):
        if config.data == "frames":
            raise UserError("data: frames have no keypoints; give other data, or --config.task=mae")
        self.pose_model = PoseModel.from_config(config)
        self.keypoint_set = self.pose_model.keypoint_set
        _check(config, self.keypoint_set)
        make_batch = functools.partial(
            transforms.make_batch,
            keypoint_set=self.keypoint_set,
            input_size=self.pose_model.codec.input_size,
            augmentation=transforms.Augmentation(**config.augmentation.to_dict()),
            convention=config.crop_convention,
        )
        open_source = functools.partial(_open_source, config, self.keypoint_set)
        data = TaskData(config, open_source, batch_maker=lambda source: make_batch)
        objective = PoseObjective(self.pose_model, config.color_jitter, config.hardest_keypoints)
        evaluator = PoseEvaluator(self.pose_model, data, config.nms_threshold or None, config.soft_nms)
        super().__init__(config, self.pose_model.network, data, objective, evaluator, PosePictures(evaluator))

    def init(self, rng: jax.Array) -> Variables:
        """New variables of the network, by collection."""
        return self.pose_model.init(rng)

    def describe(self) -> str:
        """The keypoint set and the data as text."""
        return f"{len(self.keypoint_set)} keypoints ({self.keypoint_set.name})\n{self.data.describe()}"


def _check(config: ml_collections.ConfigDict, keypoint_set: KeypointSet) -> None:
    if config.data == "synthetic" and keypoint_set != INFANT_21:
        raise UserError(
            f"keypoint_set: {keypoint_set.name}, but synthetic infants have {INFANT_21.name}; name that, or other data"
        )
    if not 0 <= config.hardest_keypoints <= len(keypoint_set):
        raise UserError(
            f"hardest_keypoints: {config.hardest_keypoints} of {len(keypoint_set)} keypoints; give 0 for all"
        )


def _open_source(config: ml_collections.ConfigDict, keypoint_set: KeypointSet, part: str):
    """The records to "train" on, or those to evaluate ("eval") with the ground truth of their split."""
    evaluates = part == "eval"
    if config.data == "synthetic":
        count, split = (config.synthetic_eval, "test") if evaluates else (config.synthetic_train, "train")
        return pipeline.Remembered(SyntheticInfants(count, split=split))
    split = config.eval_split if evaluates else config.train_split
    detections = pathlib.Path(config.data_dir) / config.detections if evaluates and config.detections else None
    if config.data == "coco":
        return CocoKeypoints(config.data_dir, split, keypoint_set, detections)
    return TfdsKeypoints(config.data, config.data_dir, split, keypoint_set, detections)


class PoseObjective:
    """The loss of heatmaps, with all that is random in training.

    Args:
      pose_model: the network, and the codec of its targets.
      color_jitter: probability that the colours of a crop are changed.
      hardest_keypoints: so many of each crop count; 0 counts all.
    """

    def __init__(self, pose_model: PoseModel, color_jitter: float, hardest_keypoints: int):
        self._pose_model, self._color_jitter, self._hardest = pose_model, color_jitter, hardest_keypoints

    def __call__(
        self, variables: Variables, batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Variables]]:
        """See `task.Task.loss`; PCK is the fraction of labelled keypoints whose highest pixel is near enough."""
        color_rng, drop_path_rng = jax.random.split(rng)
        network, codec = self._pose_model.network, self._pose_model.codec
        image = to_unit(batch["image"])
        if self._color_jitter:
            image = color.jitter(color_rng, image, self._color_jitter)
        heatmaps, collections = apply_training(network, variables, normalise(image), drop_path_rng=drop_path_rng)
        targets, weight = codec.encode(batch["keypoints"], batch["weight"])
        loss = heatmap_mse(heatmaps, targets, weight, self._hardest)
        points = codec.to_input(argmax(heatmaps)[0])
        near = jnp.linalg.norm(points - batch["keypoints"], axis=-1) < NEAR * codec.input_size[0]
        metrics = {"loss": loss, "PCK": (near * weight).sum() / jnp.maximum(weight.sum(), 1)}
        return loss, (metrics, collections)


class PoseEvaluator:
    """Estimates the keypoints of all evaluation records and scores them.

    Args:
      pose_model: what estimates.
      data: of the task.
      nms_threshold: of OKS-NMS among the poses of an image; None leaves all.
      soft_nms: lower the scores of poses that resemble better ones, instead of leaving the poses out.
    """

    def __init__(self, pose_model: PoseModel, data: TaskData, nms_threshold: float | None, soft_nms: bool):
        self.pose_model, self.data = pose_model, data
        self._nms_threshold, self._soft_nms = nms_threshold, soft_nms

    def evaluate(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None) -> Evaluation:
        """Scores the network with these variables on the evaluation records; `before_batch` may raise to end it."""
        return self._score(lambda batch: self.estimate(variables, put_crops(batch, mesh), mesh)[0], mesh, before_batch)

    def baselines(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, Evaluation]:
        """What anything must beat: the mean pose in every box, and the network when it sees another person's crop."""

        def estimate_exchanged(batch):
            crops = put_crops(batch, mesh)  # of all processes: the share of one may be a single crop
            return self.estimate(variables, crops | {"image": jnp.roll(crops["image"], 1, axis=0)}, mesh)[0]

        truth = self.data.eval_source.ground_truth()
        mean_pose = evaluation.mean_pose_results(self.data.train_source.ground_truth(), truth)
        return {
            "mean pose": evaluation.score(mean_pose, truth, self.pose_model.keypoint_set),
            "exchanged crops": self._score(estimate_exchanged, mesh, before_batch),
        }

    def estimate(self, variables: Variables, crops: dict[str, jax.Array], mesh: Mesh) -> tuple[jax.Array, jax.Array]:
        """Keypoints and heatmaps of crops, split along the batch."""
        estimates = self.pose_model.estimate(variables, crops["image"], crops["to_image"])
        return jax.device_put(estimates, sharding.batch_sharding(mesh))

    def _score(self, estimate: Callable[[Batch], jax.Array], mesh: Mesh, before_batch) -> Evaluation:
        def estimate_share(batch):
            before_batch()
            return distributed.own_rows(estimate(batch))

        return evaluation.evaluate(
            estimate_share,
            self.data.eval_batches(mesh),
            self.data.eval_source.ground_truth(),
            self.pose_model.keypoint_set,
            self._nms_threshold,
            self._soft_nms,
            distributed.join_batches,
        )


def put_crops(batch: Batch, mesh: Mesh) -> dict[str, jax.Array]:
    """What the estimator takes of a batch, on the devices of a mesh."""
    return sharding.put_batch({name: batch[name] for name in ("image", "to_image")}, mesh)


class PosePictures:
    """Pictures of training batches and of evaluations.

    Args:
      evaluator: of the task.
    """

    def __init__(self, evaluator: PoseEvaluator):
        self._evaluator, self._pose_model = evaluator, evaluator.pose_model

    def of_batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """Augmented crops with their skeletons and targets."""
        targets, _ = self._pose_model.codec.encode(batch["keypoints"], batch["weight"])
        return {"batch": pictures.training_grid(batch, np.asarray(targets), self._pose_model.keypoint_set)}

    def of_evaluation(self, variables: Any, mesh: Mesh, result: Evaluation) -> dict[str, np.ndarray]:
        """Predictions for the persons of the lowest and of middling OKS, and all heatmaps of the first crop."""
        data, keypoint_set = self._evaluator.data, self._pose_model.keypoint_set
        batch = next(data.eval_batches(mesh))
        _, heatmaps = self._evaluator.estimate(variables, put_crops(batch, mesh), mesh)
        return {
            "predictions": pictures.prediction_grid(data.eval_source, result, keypoint_set),
            "heatmaps": heatmap_grid(batch["image"][0], distributed.own_rows(heatmaps)[0], keypoint_set.names),
        }
