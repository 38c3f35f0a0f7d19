"""Training of pose networks, which predict the keypoints of a person in a crop as heatmaps (AggPose §4.1)."""

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
from aggpose_jax.data.source import PoseSource
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.data.synthetic.drawn_ahead import StoredInfants
from aggpose_jax.data.tfds import TfdsKeypoints
from aggpose_jax.data.views import Augmentation
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import evaluation, pictures
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.pose.draw import heatmap_grid
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet, find_keypoint_set
from aggpose_jax.pose.metrics import METRICS
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training.pose_objective import PoseObjective
from aggpose_jax.training.task import Batch, Variables
from aggpose_jax.training.task_parts import ComposedTask, TaskData


class PoseTask(ComposedTask):
    """A `task.Task` that trains a pose model on persons with labelled keypoints.

    Raises:
      UserError: keys of the configuration contradict each other.
    """

    metric, lower_is_better = "AP", False
    summary = ("AP", "AR")
    columns = (*METRICS, "OKS_p5", "OKS_p50", "PCK@0.1")
    next_commands = (
        ("evaluate", "evaluate", "--checkpoint {workdir}"),
        ("predict", "predict", "--checkpoint {workdir} VIDEO --out keypoints"),
        ("export", "convert", "to-torch weights.safetensors --checkpoint {workdir}"),
    )

    def __init__(self, config: ml_collections.ConfigDict):
        _check_data(config)
        self.pose_model = PoseModel.from_config(config)
        self.keypoint_set = self.pose_model.keypoint_set
        _check(config, self.keypoint_set)
        make_batch = functools.partial(
            transforms.make_batch,
            keypoint_set=self.keypoint_set,
            input_size=self.pose_model.codec.input_size,
            augmentation=Augmentation(**config.augmentation.to_dict()),
            protocol=self.pose_model.protocol,
            upright=config.upright,
        )
        open_source = functools.partial(_open_source, config, self.keypoint_set)
        data = TaskData(config, open_source, batch_maker=lambda source: make_batch)
        objective = PoseObjective(self.pose_model, config.color_jitter, config.hardest_keypoints)
        evaluator = PoseEvaluator(self.pose_model, data, config.nms_threshold or None, config.soft_nms)
        super().__init__(config, self.pose_model.network, data, objective, evaluator, PosePictures(evaluator))

    def init(self, rng: jax.Array) -> Variables:
        """Returns newly initialised variables of the network, by collection."""
        return self.pose_model.init(rng)

    def describe(self) -> str:
        """Returns a description of the keypoint set and of the data as text."""
        return f"{len(self.keypoint_set)} keypoints ({self.keypoint_set.name})\n{self.data.describe()}"


def annotated_evaluation_source(config: ml_collections.ConfigDict) -> tuple[PoseSource, KeypointSet]:
    """Returns the annotated persons of the evaluation split that a configuration names, and their keypoint set.

    No network is built, and a file of detections is not read.

    Raises:
      UserError: the configuration is for another task, or its data set is missing or invalid.
    """
    if config.task != "pose":
        raise UserError(f"task: {config.task} has no keypoints to score; give the experiment of a pose network")
    _check_data(config)
    keypoint_set = find_keypoint_set(config.keypoint_set)
    _check_synthetic(config, keypoint_set)
    return _open_source(config, keypoint_set, "annotated"), keypoint_set


def _check_data(config: ml_collections.ConfigDict) -> None:
    if config.data == "frames":
        raise UserError("data: frames have no keypoints; give other data, or --config.task=mae")


def _check_synthetic(config: ml_collections.ConfigDict, keypoint_set: KeypointSet) -> None:
    if config.data in ("synthetic", "infants") and keypoint_set != INFANT_21:
        raise UserError(
            f"keypoint_set: {keypoint_set.name}, but synthetic infants have {INFANT_21.name}; give that or other data"
        )


def _check(config: ml_collections.ConfigDict, keypoint_set: KeypointSet) -> None:
    _check_synthetic(config, keypoint_set)
    if keypoint_set.one_sided and (config.augmentation.flip or config.flip_test):
        raise UserError(
            f"keypoint_set: {keypoint_set.one_sided[0]} has no counterpart on the other side, so that mirrored images "
            "would have wrong labels; set --config.augmentation.flip=0.0 and --config.flip_test=False"
        )
    if not 0 <= config.hardest_keypoints <= len(keypoint_set):
        raise UserError(
            f"hardest_keypoints: {config.hardest_keypoints} is not in 0…{len(keypoint_set)}; give 0 for all keypoints"
        )


def _open_source(config: ml_collections.ConfigDict, keypoint_set: KeypointSet, part: str) -> PoseSource:
    """Returns the source of the training records (`part` "train") or of the evaluation records ("eval").

    With the part "annotated" the records are those of the evaluation split, but never detected persons.
    """
    evaluates = part != "train"
    if config.data == "synthetic":
        count, split = (config.synthetic_eval, "test") if evaluates else (config.synthetic_train, "train")
        return pipeline.CachedSource(SyntheticInfants(count, split=split))
    split = config.eval_split if evaluates else config.train_split
    if config.data == "infants":
        return StoredInfants(pathlib.Path(config.data_dir) / split)
    detections = pathlib.Path(config.data_dir) / config.detections if part == "eval" and config.detections else None
    if config.data == "coco":
        return CocoKeypoints(config.data_dir, split, keypoint_set, detections, config.category)
    return TfdsKeypoints(config.data, config.data_dir, split, keypoint_set, detections, config.category)


class PoseEvaluator:
    """Estimates the keypoints of all evaluation records and scores them.

    Args:
      pose_model: the network, its codec and keypoint set.
      data: data of the task, whose evaluation records are estimated.
      nms_threshold: OKS threshold of non-maximum suppression among the poses of an image; None disables it.
      soft_nms: lower the scores of poses that overlap with better ones, instead of suppressing the poses.
    """

    def __init__(self, pose_model: PoseModel, data: TaskData, nms_threshold: float | None, soft_nms: bool):
        self.pose_model, self.data = pose_model, data
        self._nms_threshold, self._soft_nms = nms_threshold, soft_nms

    def evaluate(self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None) -> Evaluation:
        """Evaluates the network on the evaluation records; `before_batch` may raise an exception to stop it."""
        return self._score(lambda batch: self.estimate(variables, put_crops(batch, mesh), mesh)[0], mesh, before_batch)

    def baselines(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, Evaluation]:
        """Returns evaluations of the mean training pose in each box, and of the network on another person's crop."""

        def estimate_exchanged(batch):
            # The crops of all processes are exchanged together, since one process may have a single crop.
            crops = put_crops(batch, mesh)
            return self.estimate(variables, crops | {"image": jnp.roll(crops["image"], 1, axis=0)}, mesh)[0]

        truth = self.data.eval_source.ground_truth()
        mean_pose = evaluation.mean_pose_results(self.data.train_source.ground_truth(), truth)
        return {
            "mean pose": evaluation.score(mean_pose, truth, self.pose_model.keypoint_set),
            "exchanged crops": self._score(estimate_exchanged, mesh, before_batch),
        }

    def estimate(self, variables: Variables, crops: dict[str, jax.Array], mesh: Mesh) -> tuple[jax.Array, jax.Array]:
        """Returns keypoints [B, K, 3] and heatmaps [B, h, w, K] of crops, split along the batch over all devices."""
        estimates = self.pose_model.estimate(variables, crops["image"], crops["to_image"])
        return jax.device_put(estimates, sharding.batch_sharding(mesh))

    def _score(self, estimate: Callable[[Batch], jax.Array], mesh: Mesh, before_batch) -> Evaluation:
        def estimate_local(batch):
            before_batch()
            return distributed.local_rows(estimate(batch))

        return evaluation.evaluate(
            estimate_local,
            self.data.eval_batches(mesh),
            self.data.eval_source.ground_truth(),
            self.pose_model.keypoint_set,
            self._nms_threshold,
            self._soft_nms,
            distributed.gather_batches,
        )


def put_crops(batch: Batch, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns the images and crop transforms of a batch as arrays on the devices of a mesh."""
    return sharding.put_batch({name: batch[name] for name in ("image", "to_image")}, mesh)


class PosePictures:
    """Draws image grids of training batches and of evaluations of a pose network.

    Args:
      evaluator: evaluator of the task, whose network and evaluation records are drawn.
    """

    def __init__(self, evaluator: PoseEvaluator):
        self._evaluator, self._pose_model = evaluator, evaluator.pose_model

    def of_batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns "batch": augmented crops with their skeletons and target heatmaps."""
        targets, _ = self._pose_model.codec.encode(batch["keypoints"], batch["weight"])
        return {"batch": pictures.training_grid(batch, np.asarray(targets), self._pose_model.keypoint_set)}

    def of_evaluation(self, variables: Any, mesh: Mesh, result: Evaluation) -> dict[str, np.ndarray]:
        """Returns "predictions" for the persons of lowest and of median OKS, and all "heatmaps" of the first crop."""
        data, keypoint_set = self._evaluator.data, self._pose_model.keypoint_set
        batch = next(data.eval_batches(mesh))
        _, heatmaps = self._evaluator.estimate(variables, put_crops(batch, mesh), mesh)
        return {
            "predictions": pictures.prediction_grid(data.eval_source, result, keypoint_set),
            "heatmaps": heatmap_grid(batch["image"][0], distributed.local_rows(heatmaps)[0], keypoint_set.names),
        }
