"""PoseModel: a network together with its heatmap codec and its keypoint set, from crops to keypoints."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
from flax import linen as nn

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.estimator import Estimator, make_estimator
from aggpose_jax.networks.network import Network
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import KeypointSet, find_keypoint_set
from aggpose_jax.pose.protocol import Protocol, find_protocol

if TYPE_CHECKING:
    import ml_collections

Variables = dict[str, Any]  # {"params": …} and, for networks with batch normalisation, "batch_stats"


@dataclasses.dataclass(frozen=True, eq=False)
class PoseModel:
    """A network that estimates the K keypoints of a set in crops. Its variables are passed as arguments, as in Flax.

    Attributes:
      network: from normalised images [B, H, W, 3] to heatmaps [B, H/4, W/4, K].
      codec: encodes keypoints as heatmaps and decodes them.
      keypoint_set: set of K keypoints.
      flip_test: average the heatmaps of each crop and of its mirror image.
      protocol: how crops are made and heatmaps are decoded; the codec follows it.
    """

    network: nn.Module
    codec: Codec
    keypoint_set: KeypointSet
    flip_test: bool
    protocol: Protocol

    @classmethod
    def from_config(cls, config: "ml_collections.ConfigDict") -> Self:
        """Builds the model that a configuration describes.

        Raises:
          UserError: the configuration is for another task, or its values are inconsistent.
        """
        if config.task != "pose":
            raise UserError(f"task: {config.task} does not predict keypoints; give the run or configuration of a pose "
                            "network")  # fmt: skip
        keypoint_set = find_keypoint_set(config.keypoint_set)
        network = networks.build(**config.model, keypoints=len(keypoint_set))
        _check_input_size(tuple(config.input_size), networks.find(config.model.name), network)
        protocol = find_protocol(config.protocol, config.crop_convention, config.decoder)
        return cls(network, _codec(config, protocol), keypoint_set, config.flip_test, protocol)

    def init(self, rng: jax.Array) -> Variables:
        """Returns newly initialised variables of the network."""
        images = jnp.zeros((1, *self.codec.input_size, 3))
        return self.network.init(rng, images)  # type: ignore[return-value]  # Flax's type includes FrozenDict

    def shapes(self) -> Variables:
        """Returns the shapes and dtypes of the variables as a tree of jax.ShapeDtypeStruct."""
        return jax.eval_shape(self.init, jax.random.key(0))

    def apply(self, variables: Variables, images: jax.Array) -> jax.Array:
        """Returns the heatmaps [B, H/4, W/4, K] of normalised images [B, H, W, 3], in evaluation mode."""
        return self.network.apply(variables, images)  # type: ignore[return-value]  # a tuple if called with `mutable`

    @functools.cached_property
    def estimate(self) -> Estimator:
        """The jitted function (variables, image, to_image) → keypoints, heatmaps; see `estimator.make_estimator`."""
        return make_estimator(self.apply, self.codec, self.keypoint_set, self.flip_test, self.protocol)


def _check_input_size(size: tuple[int, int], network: Network, model: nn.Module) -> None:
    if network.input_size and size != network.input_size(model):
        raise UserError(
            f"input_size: the last layer of this network fixes {network.input_size(model)}, not {size}; set that size"
        )
    if any(side % network.stride for side in size):
        raise UserError(f"input_size: {size} must be divisible by {network.stride}; change it")


def _codec(config: "ml_collections.ConfigDict", protocol: Protocol) -> Codec:
    return Codec(
        tuple(config.input_size),
        config.sigma,
        protocol.decoder,
        config.blur_kernel,
        config.blur_sigma,
        protocol.convention,
        protocol.nothing,
        config.rounded_targets,
    )
