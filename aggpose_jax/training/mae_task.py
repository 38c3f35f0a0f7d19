"""Self-supervised pretraining on unlabelled frames: a network predicts their masked patches (MAE, He et al. 2022)."""

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
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import reconstruction
from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.networks import barriers
from aggpose_jax.networks.mae import masked_mse
from aggpose_jax.networks.mask_patches import PATCH, draw_visible
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training
from aggpose_jax.training.mae_data import make_data
from aggpose_jax.training.mae_targets import HeatmapTarget, PixelTarget, Target, make_target
from aggpose_jax.training.task import Batch, Variables
from aggpose_jax.training.task_parts import ComposedTask, TaskData

EVALUATION_KEY = 0  # seed of the random masks in evaluation, which are the same in all runs


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """The evaluation of a network on masked frames of held-out videos.

    Attributes:
      metrics: values by name; the `Target` of the predictions defines them.
    """

    metrics: dict[str, float]


class MaeTask(ComposedTask):
    """A `task.Task` that trains a masked autoencoder, a Mix Transformer with a small decoder, on frames of videos.

    Raises:
      UserError: keys of the configuration contradict each other.
    """

    metric, lower_is_better = "loss", True
    columns = tuple(dict.fromkeys((*PixelTarget.metrics, *HeatmapTarget.metrics)))
    next_commands = (("fine-tune", "train", "--config EXPERIMENT --config.init_from={workdir}"),)

    def __init__(self, config: ml_collections.ConfigDict):
        if not config.model.name.startswith("mae_"):
            raise UserError(f"model.name: {config.model.name} is not a masked autoencoder; give one, such as mae_b5")
        self.masking = Masking.from_config(config)
        data, target = make_data(config), make_target(config)
        self.summary = target.metrics
        network = networks.build(**config.model.to_dict(), heatmaps=target.heatmaps)
        objective = MaeObjective(network, self.masking, target, config.color_jitter)
        evaluator = MaeEvaluator(network, self.masking, target, data)
        super().__init__(config, network, data, objective, evaluator, MaePictures(evaluator))

    def init(self, rng: jax.Array) -> Variables:
        """Returns newly initialised variables of the network, by collection."""
        images = jnp.zeros((1, *self.config.input_size, 3))
        return self.model.init(rng, images, jnp.arange(self.masking.visible)[None])

    def describe(self) -> str:
        """Returns the number of visible patches and a description of the data as text."""
        return f"{self.masking.visible} of {self.masking.patches} patches are visible\n{self.data.describe()}"


@dataclasses.dataclass(frozen=True)
class Masking:
    """The numbers of all and of visible mask patches of an image.

    Attributes:
      patches: number of patches in an image.
      visible: number of patches that the encoder sees.
      side: side of a patch in pixels.
    """

    patches: int
    visible: int
    side: int = PATCH

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> Self:
        """Returns the masking for the input_size, model.mask_patch and mask_ratio of a configuration.

        Raises:
          UserError: the network cannot encode images of this size, or no patch or every patch is visible.
        """
        side = config.model.mask_patch
        if any(side % PATCH for side in config.input_size):
            raise UserError(f"input_size: {tuple(config.input_size)} must be divisible by {PATCH}; change it")
        patches = config.input_size[0] // side * (config.input_size[1] // side)
        visible = round((1 - config.mask_ratio) * patches)
        if not 0 < visible < patches:
            state = "visible" if visible == 0 else "masked"
            raise UserError(
                f"mask_ratio: {config.mask_ratio} of {patches} patches leaves none {state}; give a value nearer to 0.5"
            )
        return cls(patches, visible, side)

    def draw(self, rng: jax.Array, count: int) -> jax.Array:
        """Returns the indices [count, visible] of randomly drawn visible patches for `count` images."""
        return draw_visible(rng, count, self.patches, self.visible)


class MaeObjective:
    """The loss of predicted patches, including the random masks and colour jitter of training.

    Args:
      network: the masked autoencoder.
      masking: numbers of all and of visible patches.
      target: what the network predicts.
      color_jitter: probability that the colours of a crop, and of its target, are changed.
    """

    def __init__(self, network: nn.Module, masking: Masking, target: Target, color_jitter: float):
        self._network, self._masking, self._target, self._color_jitter = network, masking, target, color_jitter

    def __call__(
        self, variables: Variables, batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Variables]]:
        """Returns the loss and (metrics, updated collections), see `task.Task.loss`; each image has its own mask."""
        mask_rng, color_rng, drop_path_rng = jax.random.split(rng, 3)
        images = self._unit(batch["image"], color_rng)
        later = self._unit(batch["target"], color_rng) if "target" in batch else images
        visible = self._masking.draw(mask_rng, len(images))
        predicted, collections = apply_training(
            self._network, variables, normalise(images), visible, drop_path_rng=drop_path_rng
        )
        loss = masked_mse(predicted, self._target(later), visible, batch["valid"])
        return loss, ({"loss": loss}, collections)

    def _unit(self, images: jax.Array, rng: jax.Array) -> jax.Array:
        """Returns crops uint8 [B, H, W, 3] as 0…1, with changes of colour that depend on the random key only."""
        images = to_unit(images)
        return color.jitter(rng, images, self._color_jitter) if self._color_jitter else images


def _target_name(batch: Batch) -> str:
    """Returns the name of the images in a batch whose masked patches are predicted."""
    return "target" if "target" in batch else "image"


class MaeEvaluator:
    """Predicts the masked patches of held-out frames, with masks that depend on the id of a frame only.

    Args:
      network, masking, target: as in `MaeObjective`.
      data: data of the task, whose evaluation records are the held-out frames.
    """

    def __init__(self, network: nn.Module, masking: Masking, target: Target, data: TaskData):
        self.masking, self.target, self.data = masking, target, data
        self._network = network
        self._predict = barriers.jit(self._predict_and_score)

    def evaluate(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> Reconstruction:
        """Evaluates the network on the held-out frames; `before_batch` may raise an exception to stop it."""
        scored = []
        for batch in self.data.eval_batches(mesh):
            before_batch()
            metrics, _, _ = self.predict(variables, batch, mesh)
            scored.append({"metrics": distributed.local_rows(metrics), "valid": batch["valid"]})
        full = distributed.gather_batches({name: np.stack([one[name] for one in scored]) for name in scored[0]})
        means = full["metrics"][full["valid"] > 0].mean(0)
        return Reconstruction(dict(zip(self.target.metrics, map(float, means), strict=True)))

    def baselines(
        self, variables: Variables, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, Reconstruction]:
        """Returns no evaluations, since the metrics of every evaluation contain the baselines."""
        return {}

    def predict(self, variables: Variables, batch: Batch, mesh: Mesh) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns the metrics [B, M], predictions [B, U, D] and visible patches [B, V] of each image.

        The arrays are split along the batch over all devices. The predictions are those of `Target.score`.
        """
        names = ("image", _target_name(batch), "id")
        inputs = sharding.put_batch({name: batch[name] for name in names}, mesh)
        predicted = self._predict(variables, *(inputs[name] for name in names))
        return jax.device_put(predicted, sharding.batch_sharding(mesh))

    def _predict_and_score(
        self, variables: Variables, image: jax.Array, later: jax.Array, ids: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns the metrics [B, M], predictions [B, U, D] and visible patches [B, V] of each image."""
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(EVALUATION_KEY)))(ids)
        visible = jax.vmap(lambda key: self.masking.draw(key, 1)[0])(keys)
        metrics, predicted = self.target.score(
            lambda images, visible: self._network.apply(variables, images, visible),  # type: ignore[return-value,arg-type]
            to_unit(image),
            to_unit(later),
            visible,
        )
        return metrics, predicted, visible


class MaePictures:
    """Draws image grids of training batches and of evaluations of a masked autoencoder.

    Args:
      evaluator: evaluator of the task, whose network, masks and held-out frames are drawn.
    """

    def __init__(self, evaluator: MaeEvaluator):
        self._evaluator = evaluator

    def of_batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns "batch": the crops, and the same crops with random masks."""
        masking = self._evaluator.masking
        visible = masking.draw(jax.random.key(EVALUATION_KEY), len(batch["image"]))
        return {"batch": reconstruction.image_grid(batch["image"], None, np.asarray(visible), masking.side)}

    def of_evaluation(self, variables: Variables, mesh: Mesh, result: Reconstruction) -> dict[str, np.ndarray]:
        """Returns "reconstructions": the first held-out frames as originals | masked inputs | reconstructions.

        With a temporal target, the originals are the later frames. Predicted heatmaps are not drawn.
        """
        if self._evaluator.target.heatmaps:
            return {}
        batch = next(self._evaluator.data.eval_batches(mesh))
        _, predicted, visible = self._evaluator.predict(variables, batch, mesh)
        pixels, indices = distributed.local_rows(predicted), distributed.local_rows(visible)
        later = batch[_target_name(batch)]
        grid = reconstruction.image_grid(batch["image"], pixels, indices, self._evaluator.masking.side, later)
        return {"reconstructions": grid}
