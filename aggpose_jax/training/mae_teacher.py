"""The teacher of masked pretraining: a trained pose network whose heatmaps are predicted instead of pixels."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn
from jax import lax

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.estimation.estimator import normalise
from aggpose_jax.estimation.restore import fit, read_weights, restore
from aggpose_jax.networks.network import Network
from aggpose_jax.pose.protocol import Protocol, find_protocol
from aggpose_jax.training.task import Variables
from aggpose_jax.weights.state_dicts import Weights


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """A trained pose network with its variables.

    Attributes:
      network: from normalised images [B, H, W, 3] to heatmaps [B, H/4, W/4, K].
      variables: its variables by collection.
      protocol: the conventions of its crops and colours.
      keypoints: K.
      sigma: standard deviation of the Gaussians that it was trained to predict, in pixels of its heatmaps.
    """

    network: nn.Module
    variables: Variables
    protocol: Protocol
    keypoints: int
    sigma: float

    def heatmaps(self, images: jax.Array) -> jax.Array:
        """Returns the heatmaps [B, H/4, W/4, K] of RGB images 0…1 [B, H, W, 3]."""
        # The variables are constants of the training step. The barrier keeps XLA from computing with them in advance,
        # which takes minutes for large networks.
        variables = lax.optimization_barrier(self.variables)
        return self.network.apply(  # type: ignore[return-value]  # a tuple if called with `mutable`
            variables, normalise(images, self.protocol.bgr)
        )


def read_teacher(config: ml_collections.ConfigDict) -> Teacher:
    """Returns the teacher that a configuration names: a run, a weight file or "pretrained".

    A weight file states neither the protocol nor sigma, so those of the configuration are taken.

    Raises:
      UserError: it cannot be read, is not a pose network, or cannot take images of this input_size.
    """
    source = pretrained.locate(pathlib.Path(config.teacher))
    try:
        teacher, kind = _of_run(source) if source.is_dir() else _of_file(source, config)
        _check_size(teacher, kind, tuple(config.input_size))
    except UserError as error:
        raise UserError(f"teacher: {error}") from None
    return teacher


def _of_run(source: pathlib.Path) -> tuple[Teacher, Network]:
    config, model, variables, _ = restore(source)
    teacher = Teacher(model.network, variables, model.protocol, len(model.keypoint_set), config.sigma)
    return teacher, networks.find(config.model.name)


def _of_file(source: pathlib.Path, config: ml_collections.ConfigDict) -> tuple[Teacher, Network]:
    weights = read_weights(source)
    if "keypoints" not in weights.network.fields:
        raise UserError(f"{source}: is not a pose network; give the weights of one")
    images = jnp.zeros((1, *weights.network.smallest_input(weights.model), 3))
    shapes = jax.eval_shape(weights.model.init, jax.random.key(0), images)
    variables, report = fit(source, Weights(weights.network, weights.model, shapes), weights)
    if report.new:
        raise UserError(f"{source}: weights for {', '.join(report.new)} are missing; give a trained pose network")
    protocol = find_protocol(config.protocol, config.crop_convention, config.decoder)
    return Teacher(weights.model, variables, protocol, weights.model.keypoints, config.sigma), weights.network


def _check_size(teacher: Teacher, kind: Network, size: tuple[int, int]) -> None:
    """Checks that a teacher has heatmaps of a quarter of the size of crops (height, width)."""
    if kind.input_size and kind.input_size(teacher.network) != size:
        raise UserError(f"it takes images of {kind.input_size(teacher.network)} only, not of input_size {size}; "
                        "change that, or give a network such as pretrained")  # fmt: skip
    if any(side % kind.stride for side in size):
        raise UserError(f"input_size {size} must be divisible by {kind.stride} for it; change it")
    shape = jax.eval_shape(teacher.heatmaps, jnp.zeros((1, *size, 3))).shape
    if shape[1:3] != (size[0] // 4, size[1] // 4):
        raise UserError(f"its heatmaps have {shape[1:3]} pixels for input_size {size}; give a network whose heatmaps "
                        "have a quarter of that size")  # fmt: skip
