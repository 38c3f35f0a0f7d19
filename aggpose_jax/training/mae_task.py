"""Frames without labels, learned by predicting their masked units (MAE, He et al. 2022)."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from aggpose_jax import networks
from aggpose_jax.data import frame_crops, frames, pipeline
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import reconstruction
from aggpose_jax.estimation.estimator import normalise, to_unit
from aggpose_jax.networks.mae import masked_loss
from aggpose_jax.networks.units import UNIT, draw_kept, split_units
from aggpose_jax.runtime import distributed, sharding
from aggpose_jax.training import color
from aggpose_jax.training.apply import apply_training

EVALUATION_KEY = 0  # of the masks in evaluation, the same for all runs
FIGURES = ("loss", "error", "mean", "interp.", "shuffled")


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What a network makes of masked frames that were held out.

    Attributes:
      figures: "loss" as in training; then mean squared errors of masked pixels in squared 8-bit levels: "error" of the
        network, "mean" and "interp." of predicting the visible mean and an interpolation of visible units, "shuffled"
        of the network when the visible units have changed places.
    """

    figures: dict[str, float]


class MaeTask:
    """Masked units of frames, predicted from the others by a Mix Transformer and a small decoder.

    Attributes and arguments are those of `tasks.PoseTask`.

    Raises:
      UserError: for a configuration that does not fit together.
    """

    metric, lower_is_better = "loss", True
    summary = columns = FIGURES
    afterwards = (
        ("fine-tune", "python -m aggpose_jax.main --config configs/EXPERIMENT.py --config.init_from={workdir}"),
    )

    def __init__(self, config: ml_collections.ConfigDict):
        if config.data not in ("frames", "synthetic"):
            raise UserError(f"data: {config.data} has no frames of videos; known to task mae are frames, synthetic")
        if not config.model.name.startswith("mae_"):
            raise UserError(f"model.name: {config.model.name} is no masked autoencoder; give one, such as mae_b5")
        if any(side % UNIT for side in config.input_size):
            raise UserError(f"input_size: {tuple(config.input_size)} must divide by {UNIT}")
        self.config = config
        self.units = config.input_size[0] // UNIT * (config.input_size[1] // UNIT)
        self.visible = round((1 - config.mask_ratio) * self.units)
        if not 0 < self.visible < self.units:
            what = "keeps" if self.visible == 0 else "masks"
            raise UserError(f"mask_ratio: {config.mask_ratio} of {self.units} units {what} none; give another")
        self.model = networks.build(**config.model.to_dict())
        self._make_batch = functools.partial(
            frame_crops.make_batch,
            input_size=tuple(config.input_size),
            smallest=config.smallest_crop,
            flip=config.augmentation.flip,
        )
        self._forward = jax.jit(self._score)

    @functools.cached_property
    def train_source(self) -> frames.Frames:
        """Segments of videos to train on."""
        return self._open("train")

    @functools.cached_property
    def eval_source(self) -> frames.Frames:
        """Segments of other videos, to evaluate."""
        return self._open("eval")

    def _open(self, part: str) -> frames.Frames:
        c = self.config
        if c.data == "synthetic":
            split, count = {"train": ("train", c.synthetic_train), "eval": ("test", c.synthetic_eval)}[part]
            return frames.SyntheticFrames(count, c.frame_stride, split=split, stride=c.frame_stride)
        return frames.open_source(
            c.data_dir, stride=c.frame_stride, excluded=c.excluded_videos, held_out=c.held_out, part=part
        )

    @property
    def steps_per_epoch(self) -> float:
        """Batches in one pass over the segments."""
        return len(self.train_source) / self.config.batch_size

    def init(self, rng: jax.Array) -> Any:
        """New variables of the network, by collection."""
        images, kept = jnp.zeros((1, *self.config.input_size, 3)), jnp.arange(self.visible)[None]
        return self.model.init(rng, images, kept)

    def train_batches(self, start: int) -> Iterator[dict[str, np.ndarray]]:
        """Endless batches, from the one of step `start` on; a frame that cannot be read is blank and not `valid`."""
        return pipeline.training_batches(
            self.train_source,
            functools.partial(self._make_batch, source=self.train_source),
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
        """The loss of a batch, each image with its own mask, and (metrics, updated collections)."""
        mask_rng, color_rng, drop_path_rng = jax.random.split(rng, 3)
        images = to_unit(batch["image"])
        if self.config.color_jitter:
            images = color.jitter(color_rng, images, self.config.color_jitter)
        images = normalise(images)
        kept = draw_kept(mask_rng, len(images), self.units, self.visible)
        predicted, collections = apply_training(self.model, variables, images, kept, drop_path_rng=drop_path_rng)
        loss = masked_loss(predicted, images, kept, batch["valid"], self.config.normalise_pixels)
        return loss, ({"loss": loss}, collections)

    def describe(self) -> str:
        """The data as text."""
        sources = {"to train": self.train_source, "to evaluate": self.eval_source}
        lines = [
            f"{use:<12} " + ", ".join(f"{count:,} {thing}" for thing, count in source.counts().items())
            for use, source in sources.items()
        ]
        return "\n".join([f"{self.visible} of {self.units} units are seen", *lines])

    def batch_pictures(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Pictures of a training batch, by name: the crops, and which units of them might be seen."""
        kept = draw_kept(jax.random.key(EVALUATION_KEY), len(batch["image"]), self.units, self.visible)
        return {"batch": reconstruction.sheet(batch["image"], None, np.asarray(kept))}

    def evaluation_pictures(self, variables: Any, mesh: Mesh, result: Reconstruction) -> dict[str, np.ndarray]:
        """A sheet of the first held-out frames: originals | masked inputs | reconstructions."""
        batch = next(self._eval_batches(mesh))
        _, predicted, kept = self._run(variables, batch, mesh)
        own = (distributed.own_rows(jax.device_put(a, sharding.batch_sharding(mesh))) for a in (predicted, kept))
        return {"reconstructions": reconstruction.sheet(batch["image"], *own)}

    def evaluate(self, variables: Any, mesh: Mesh, before_batch: Callable[[], None] = lambda: None) -> Reconstruction:
        """Scores the network on held-out frames under masks that never change; `before_batch` may raise to end it."""
        scored = []
        for batch in self._eval_batches(mesh):
            before_batch()
            figures = jax.device_put(self._run(variables, batch, mesh)[0], sharding.batch_sharding(mesh))
            scored.append({"figures": distributed.own_rows(figures), "valid": batch["valid"]})
        whole = distributed.join_batches({name: np.stack([one[name] for one in scored]) for name in scored[0]})
        means = whole["figures"][whole["valid"] > 0].mean(0)
        return Reconstruction(dict(zip(FIGURES, map(float, means), strict=True)))

    def baselines(
        self, variables: Any, mesh: Mesh, before_batch: Callable[[], None] = lambda: None
    ) -> dict[str, Reconstruction]:
        """None beside those that every evaluation has among its figures."""
        return {}

    def _eval_batches(self, mesh: Mesh) -> Iterator[dict[str, np.ndarray]]:
        return pipeline.evaluation_batches(
            self.eval_source,
            functools.partial(self._make_batch, source=self.eval_source),
            batch_size=-(-self.config.eval_batch_size // mesh.size) * mesh.size,
            threads=self.config.threads,
            shard=distributed.share(),
        )

    def _run(self, variables: Any, batch: dict[str, np.ndarray], mesh: Mesh) -> tuple[jax.Array, jax.Array, jax.Array]:
        inputs = sharding.put_batch({name: batch[name] for name in ("image", "id")}, mesh)
        return self._forward(variables, inputs["image"], inputs["id"])

    def _score(self, variables: Any, image: jax.Array, ids: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Figures [B, 5] of each image, its predicted units as pixels, and the units it was predicted from."""
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(EVALUATION_KEY)))(ids)
        kept = jax.vmap(lambda key: draw_kept(key, 1, self.units, self.visible)[0])(keys)
        images, normalised = normalise(to_unit(image)), self.config.normalise_pixels
        predicted = self.model.apply(variables, images, kept)
        loss = jax.vmap(lambda *one: masked_loss(*(a[None] for a in one), normalised=normalised))
        pixels = reconstruction.to_pixels(predicted, images, normalised)
        moved = self.model.apply(variables, reconstruction.shuffled(images, kept), kept)
        truth = split_units(to_unit(image)).reshape(predicted.shape)
        candidates = (
            pixels,
            reconstruction.visible_mean(truth, kept),
            reconstruction.interpolated(truth, kept, self.config.input_size[1] // UNIT),
            reconstruction.to_pixels(moved, images, normalised),
        )
        errors = [reconstruction.masked_error(candidate, truth, kept) for candidate in candidates]
        return jnp.stack([loss(predicted, images, kept), *errors], axis=1), pixels, kept
