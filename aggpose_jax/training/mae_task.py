"""Frames without labels, learned by predicting their masked units (MAE, He et al. 2022)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from aggpose_jax import networks
from aggpose_jax.data import frame_crops, frames
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import reconstruction
from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.networks.mae import masked_loss
from aggpose_jax.networks.mask_patches import PATCH, draw_visible, split_patches
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.task import Batch, Variables
from aggpose_jax.training.task_parts import ComposedTask, TaskData

EVALUATION_KEY = 0  # of the masks in evaluation, the same for all runs
METRICS = ("loss", "error", "mean", "interp.", "shuffled")


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What a network makes of masked frames that were held out.

    Attributes:
      metrics: "loss" as in training; then mean squared errors of masked pixels in squared 8-bit levels: "error" of the
        network, "mean" and "interp." of predicting the visible mean and an interpolation of visible units, "shuffled"
        of the network when the visible units have changed places.
    """

    metrics: dict[str, float]


class MaeTask(ComposedTask):
    """Trains a masked autoencoder, a Mix Transformer with a small decoder, on frames of videos; a `task.Task`.

    Raises:
      UserError: for a configuration that does not fit together.
    """

    metric, lower_is_better = "loss", True
    summary = columns = METRICS
    afterwards = (
        ("fine-tune", "python -m aggpose_jax.main --config configs/EXPERIMENT.py --config.init_from={workdir}"),
    )

    def __init__(self, config: ml_collections.ConfigDict):
        if config.data not in ("frames", "synthetic"):
            raise UserError(f"data: {config.data} has no frames of videos; known to task mae are frames, synthetic")
        if not config.model.name.startswith("mae_"):
            raise UserError(f"model.name: {config.model.name} is no masked autoencoder; give one, such as mae_b5")
        self.masking = Masking.from_config(config)
        network, size = networks.build(**config.model.to_dict()), tuple(config.input_size)
        make_batch = functools.partial(
            frame_crops.make_batch, input_size=size, smallest=config.smallest_crop, flip=config.augmentation.flip
        )
        data = TaskData(
            config,
            functools.partial(_open_source, config),
            batch_maker=lambda source: functools.partial(make_batch, source=source),
        )
        objective = MaeObjective(network, self.masking, config.normalise_pixels, config.color_jitter)
        evaluator = MaeEvaluator(network, self.masking, config.normalise_pixels, data)
        super().__init__(config, network, data, objective, evaluator, MaePictures(evaluator))

    def init(self, rng: jax.Array) -> Variables:
        """New variables of the network, by collection."""
        images = jnp.zeros((1, *self.config.input_size, 3))
        return self.model.init(rng, images, jnp.arange(self.masking.visible)[None])

    def describe(self) -> str:
        """The masks and the data as text."""
        return f"{self.masking.visible} of {self.masking.units} units are seen\n{self.data.describe()}"


@dataclasses.dataclass(frozen=True)
class Masking:
    """How much of an image is seen.

    Attributes:
      units: of an image.
      visible: how many of them are seen.
    """

    units: int
    visible: int

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> Self:
        """The masking that input_size and mask_ratio give.

        Raises:
          UserError: an image has no whole number of units, or none or all of them are seen.
        """
        if any(side % PATCH for side in config.input_size):
            raise UserError(f"input_size: {tuple(config.input_size)} must divide by {PATCH}")
        units = config.input_size[0] // PATCH * (config.input_size[1] // PATCH)
        visible = round((1 - config.mask_ratio) * units)
        if not 0 < visible < units:
            what = "keeps" if visible == 0 else "masks"
            raise UserError(f"mask_ratio: {config.mask_ratio} of {units} units {what} none; give another")
        return cls(units, visible)

    def draw(self, rng: jax.Array, count: int) -> jax.Array:
        """The visible units [count, visible] of so many images."""
        return draw_visible(rng, count, self.units, self.visible)


def _open_source(config: ml_collections.ConfigDict, part: str) -> frames.Frames:
    """Segments of videos to "train" on, or of other videos to evaluate ("eval")."""
    stride = config.frame_stride
    if config.data == "synthetic":
        split, count = {"train": ("train", config.synthetic_train), "eval": ("test", config.synthetic_eval)}[part]
        return frames.SyntheticFrames(count, stride, split=split, stride=stride)
    return frames.open_source(
        config.data_dir, stride=stride, excluded=config.excluded_videos, held_out=config.held_out, part=part
    )


class MaeObjective:
    """The loss of predicted units, with all that is random in training.

    Args:
      network: the masked autoencoder.
      masking: how much it sees.
      normalise_pixels: it predicts the pixels of a unit without their mean and deviation.
      color_jitter: probability that the colours of a crop are changed.
    """

    def __init__(self, network: nn.Module, masking: Masking, normalise_pixels: bool, color_jitter: float):
        self._network, self._masking = network, masking
        self._normalise_pixels, self._color_jitter = normalise_pixels, color_jitter

    def __call__(
        self, variables: Variables, batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Variables]]:
        """See `task.Task.loss`; each image has its own mask."""
        mask_rng, color_rng, drop_path_rng = jax.random.split(rng, 3)
        images = to_unit(batch["image"])
        if self._color_jitter:
            images = color.jitter(color_rng, images, self._color_jitter)
        images = normalise(images)
        kept = self._masking.draw(mask_rng, len(images))
        predicted, collections = apply_training(self._network, variables, images, kept, drop_path_rng=drop_path_rng)
        loss = masked_loss(predicted, images, kept, batch["valid"], self._normalise_pixels)
        return loss, ({"loss": loss}, collections)


class MaeEvaluator:
    """Predicts the masked units of held-out frames, under masks that never change.

    Args:
      network, masking, normalise_pixels: as of `MaeObjective`.
      data: of the task.
    """

    def __init__(self, network: nn.Module, masking: Masking, normalise_pixels: bool, data: TaskData):
        self.masking, self.data = masking, data
        self._network, self._normalise_pixels = network, normalise_pixels
        self._predict = jax.jit(self._predict_and_score)

    def evaluate(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> Reconstruction:
        """Scores the network on the held-out frames; `before_batch` may raise to end it."""
        scored = []
        for batch in self.data.eval_batches(mesh):
            before_batch()
            metrics, _, _ = self.predict(variables, batch, mesh)
            scored.append({"metrics": distributed.own_rows(metrics), "valid": batch["valid"]})
        whole = distributed.join_batches({name: np.stack([one[name] for one in scored]) for name in scored[0]})
        means = whole["metrics"][whole["valid"] > 0].mean(0)
        return Reconstruction(dict(zip(METRICS, map(float, means), strict=True)))

    def baselines(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, Reconstruction]:
        """None beside those that every evaluation has among its metrics."""
        return {}

    def predict(self, variables: Variables, batch: Batch, mesh: Mesh) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Figures [B, 5] of each image, its predicted units as pixels, and the visible units; split along the batch."""
        inputs = sharding.put_batch({name: batch[name] for name in ("image", "id")}, mesh)
        predicted = self._predict(variables, inputs["image"], inputs["id"])
        return jax.device_put(predicted, sharding.batch_sharding(mesh))

    def _predict_and_score(
        self, variables: Variables, image: jax.Array, ids: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Figures [B, 5] of each image, its predicted units as pixels, and the units it was predicted from."""
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(EVALUATION_KEY)))(ids)
        kept = jax.vmap(lambda key: self.masking.draw(key, 1)[0])(keys)
        images, normalised = normalise(to_unit(image)), self._normalise_pixels
        predicted = self._network.apply(variables, images, kept)
        loss = jax.vmap(lambda *one: masked_loss(*(a[None] for a in one), normalised=normalised))
        pixels = reconstruction.to_pixels(predicted, images, normalised)
        moved = self._network.apply(variables, reconstruction.shuffled(images, kept), kept)
        truth = split_patches(to_unit(image)).reshape(predicted.shape)
        candidates = (
            pixels,
            reconstruction.visible_mean(truth, kept),
            reconstruction.interpolated(truth, kept, image.shape[2] // PATCH),
            reconstruction.to_pixels(moved, images, normalised),
        )
        errors = [reconstruction.masked_error(candidate, truth, kept) for candidate in candidates]
        return jnp.stack([loss(predicted, images, kept), *errors], axis=1), pixels, kept


class MaePictures:
    """Pictures of training batches and of evaluations.

    Args:
      evaluator: of the task.
    """

    def __init__(self, evaluator: MaeEvaluator):
        self._evaluator = evaluator

    def of_batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """The crops, and which units of them might be seen."""
        kept = self._evaluator.masking.draw(jax.random.key(EVALUATION_KEY), len(batch["image"]))
        return {"batch": reconstruction.sheet(batch["image"], None, np.asarray(kept))}

    def of_evaluation(self, variables: Variables, mesh: Mesh, result: Reconstruction) -> dict[str, np.ndarray]:
        """The first held-out frames: originals | masked inputs | reconstructions."""
        batch = next(self._evaluator.data.eval_batches(mesh))
        _, predicted, kept = self._evaluator.predict(variables, batch, mesh)
        own = (distributed.own_rows(array) for array in (predicted, kept))
        return {"reconstructions": reconstruction.sheet(batch["image"], *own)}
