"""Keypoints learned as heatmaps, and the tasks by name: each has data, parameters, a loss and an evaluation."""

import functools
import pathlib
from collections.abc import Callable, Iterator
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
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.pose.codec import argmax
from aggpose_jax.pose.draw import heatmap_sheet
from aggpose_jax.pose.keypoints import INFANT_21
from aggpose_jax.pose.metrics import FIGURES
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.losses import heatmap_mse
from aggpose_jax.training.mae_task import MaeTask


class PoseTask:
    """Keypoints of persons in crops, learned as heatmaps (AggPose §4.1).

    Attributes:
      metric: the figure of an evaluation by which the best checkpoint is told.
      lower_is_better: of the metric.
      summary: figures that are said at each evaluation.
      columns: figures of the table at the end.
      afterwards: commands that go on from a run, by what they do; {workdir} stands for its folder.

    Args:
      config: see `config.default_config`.

    Raises:
      UserError: for a configuration that does not fit together.
    """

    metric, lower_is_better = "AP", False
    summary = ("AP", "AR")
    columns = (*FIGURES, "OKS_p5", "OKS_p50", "PCK@0.1")
    afterwards = (
        ("evaluate", "python -m aggpose_jax.evaluate --checkpoint {workdir}"),
        ("export", "python -m aggpose_jax.convert to-torch weights.safetensors --checkpoint {workdir}"),
    )

    def __init__(self, config: ml_collections.ConfigDict):
        if config.data == "frames":
            raise UserError("data: frames have no keypoints; give other data, or --config.task=mae")
        self.config = config
        self.pose_model = PoseModel.from_config(config)
        self.keypoint_set, self.codec = self.pose_model.keypoint_set, self.pose_model.codec
        if config.data == "synthetic" and self.keypoint_set != INFANT_21:
            raise UserError(
                f"keypoint_set: {self.keypoint_set.name}, but synthetic infants have {INFANT_21.name}; "
                "name that, or other data"
            )
        if not 0 <= config.hardest_keypoints <= len(self.keypoint_set):
            raise UserError(
                f"hardest_keypoints: {config.hardest_keypoints} of {len(self.keypoint_set)} keypoints; give 0 for all"
            )
        self.model = self.pose_model.network
        self._make_batch = functools.partial(
            transforms.make_batch,
            keypoint_set=self.keypoint_set,
            input_size=self.codec.input_size,
            augmentation=transforms.Augmentation(**config.augmentation.to_dict()),
            convention=config.crop_convention,
        )

    @functools.cached_property
    def train_source(self):
        """Records to train on."""
        c = self.config
        if c.data == "synthetic":
            return pipeline.Remembered(SyntheticInfants(c.synthetic_train, split="train"))
        return self._read_source(c.train_split)

    @functools.cached_property
    def eval_source(self):
        """Records to evaluate, with the ground truth of their split."""
        c = self.config
        if c.data == "synthetic":
            return pipeline.Remembered(SyntheticInfants(c.synthetic_eval, split="test"))
        return self._read_source(c.eval_split, pathlib.Path(c.data_dir) / c.detections if c.detections else None)

    def _read_source(self, split: str, detections: pathlib.Path | None = None) -> CocoKeypoints:
        c = self.config
        if c.data == "coco":
            return CocoKeypoints(c.data_dir, split, self.keypoint_set, detections)
        return TfdsKeypoints(c.data, c.data_dir, split, self.keypoint_set, detections)

    @property
    def steps_per_epoch(self) -> float:
        """Batches in one pass over the training records."""
        return len(self.train_source) / self.config.batch_size

    def init(self, rng: jax.Array) -> Any:
        """New variables of the network, by collection."""
        return self.pose_model.init(rng)

    def train_batches(self, start: int) -> Iterator[dict[str, np.ndarray]]:
        """Endless batches, from the one of step `start` on; an image that cannot be read is blank and not `valid`."""
        return pipeline.training_batches(
            self.train_source,
            self._make_batch,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            start=start,
            threads=self.config.threads,
            workers=self.config.workers,
            shard=distributed.share(),
        )

    def loss(
        self, variables: dict[str, Any], batch: dict[str, jax.Array], rng: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
        """The loss of a batch, with everything that is random in training, and (metrics, updated collections).

        PCK is the share of labelled keypoints whose highest pixel is within 0.05 of the crop's height.
        """
        color_rng, drop_path_rng = jax.random.split(rng)
        image = to_unit(batch["image"])
        if self.config.color_jitter:
            image = color.jitter(color_rng, image, self.config.color_jitter)
        heatmaps, collections = apply_training(self.model, variables, normalise(image), drop_path_rng=drop_path_rng)
        targets, weight = self.codec.encode(batch["keypoints"], batch["weight"])
        loss = heatmap_mse(heatmaps, targets, weight, self.config.hardest_keypoints)
        points = self.codec.to_input(argmax(heatmaps)[0])
        near = jnp.linalg.norm(points - batch["keypoints"], axis=-1) < 0.05 * self.codec.input_size[0]
        metrics = {"loss": loss, "PCK": (near * weight).sum() / jnp.maximum(weight.sum(), 1)}
        return loss, (metrics, collections)

    def describe(self) -> str:
        """The data as text."""
        sources = {"to train": self.train_source, "to evaluate": self.eval_source}
        lines = [
            f"{use:<12} " + ", ".join(f"{count:,} {thing}" for thing, count in source.counts().items())
            for use, source in sources.items()
        ]
        return "\n".join([f"{len(self.keypoint_set)} keypoints ({self.keypoint_set.name})", *lines])

    def batch_pictures(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Pictures of a training batch, by name."""
        targets, _ = self.codec.encode(batch["keypoints"], batch["weight"])
        return {"batch": pictures.training_sheet(batch, np.asarray(targets), self.keypoint_set)}

    def evaluation_pictures(self, variables: Any, mesh: Mesh, result: evaluation.Evaluation) -> dict[str, np.ndarray]:
        """Pictures of predictions, by name: of the worst and the middling persons, and all heatmaps of the first."""
        batch = next(self._eval_batches(mesh))
        _, heatmaps = self._estimate(variables, self._put(batch, mesh), mesh)
        return {
            "predictions": pictures.prediction_sheet(self.eval_source, result, self.keypoint_set),
            "heatmaps": heatmap_sheet(batch["image"][0], distributed.own_rows(heatmaps)[0], self.keypoint_set.names),
        }

    def evaluate(
        self, variables: Any, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> evaluation.Evaluation:
        """Scores the network with these variables on the evaluation records; `before_batch` may raise to end it."""
        return self._evaluate(
            lambda batch: self._estimate(variables, self._put(batch, mesh), mesh)[0], mesh, before_batch
        )

    def baselines(
        self, variables: Any, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, evaluation.Evaluation]:
        """What anything must beat: the mean pose in every box, and the network when it sees another person's crop."""

        def estimate_exchanged(batch):
            crops = self._put(batch, mesh)  # of all processes: the share of one may be a single crop
            return self._estimate(variables, crops | {"image": jnp.roll(crops["image"], 1, axis=0)}, mesh)[0]

        mean_pose = evaluation.mean_pose_results(self.train_source.ground_truth(), self.eval_source.ground_truth())
        return {
            "mean pose": evaluation.score(mean_pose, self.eval_source.ground_truth(), self.keypoint_set),
            "exchanged crops": self._evaluate(estimate_exchanged, mesh, before_batch),
        }

    def _evaluate(self, estimate, mesh, before_batch) -> evaluation.Evaluation:
        def estimate_share(batch):
            before_batch()
            return distributed.own_rows(estimate(batch))

        truth, nms_threshold = self.eval_source.ground_truth(), self.config.nms_threshold or None
        batches, soft_nms = self._eval_batches(mesh), self.config.soft_nms
        return evaluation.evaluate(
            estimate_share,
            *(batches, truth, self.keypoint_set, nms_threshold, soft_nms, distributed.join_batches),
        )

    def _eval_batches(self, mesh) -> Iterator[dict[str, np.ndarray]]:
        devices = mesh.size
        batch_size = -(-self.config.eval_batch_size // devices) * devices
        return pipeline.evaluation_batches(
            self.eval_source,
            self._make_batch,
            batch_size=batch_size,
            threads=self.config.threads,
            shard=distributed.share(),
        )

    def _put(self, batch, mesh) -> dict[str, jax.Array]:
        return sharding.put_batch({name: batch[name] for name in ("image", "to_image")}, mesh)

    def _estimate(self, variables, crops, mesh) -> tuple[jax.Array, jax.Array]:
        estimates = self.pose_model.estimate(variables, crops["image"], crops["to_image"])
        return jax.device_put(estimates, sharding.batch_sharding(mesh))


TASKS = {"pose": PoseTask, "mae": MaeTask}


def task_class(config: ml_collections.ConfigDict) -> type:
    """The class of the task that a configuration names.

    Raises:
      UserError: there is none of that name.
    """
    if config.task not in TASKS:
        raise UserError(f"task: {config.task!r} is unknown; known are {', '.join(TASKS)}")
    return TASKS[config.task]


def make_task(config: ml_collections.ConfigDict) -> PoseTask | MaeTask:
    """The task that a configuration names; a UserError where the configuration does not fit it."""
    return task_class(config)(config)


def make_pose_task(config: ml_collections.ConfigDict) -> PoseTask:
    """The task of a configuration that finds keypoints.

    Raises:
      UserError: the configuration does, or fits, no such task.
    """
    task = make_task(config)
    if not isinstance(task, PoseTask):
        raise UserError(f"task: {config.task} finds no keypoints; give the run or configuration of a pose network")
    return task
