"""A network together with its heatmap codec and its keypoint set: crops → keypoints."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.estimator import make_estimator
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.keypoints import KeypointSet, find_keypoint_set

Variables = dict[str, Any]  # {"params": …}, and "batch_stats" of networks that have batch statistics


@dataclasses.dataclass(frozen=True, eq=False)
class PoseModel:
    """A network that finds the K keypoints of a set in crops. Its variables are passed to it, as in Flax.

    Attributes:
      network: images [B, H, W, 3], normalised → heatmaps [B, H/4, W/4, K].
      codec: encodes keypoints as heatmaps and decodes them.
      keypoint_set: of K keypoints.
      flip_test: heatmaps are the mean of those of a crop and of its mirror image.
    """

    network: nn.Module
    codec: Codec
    keypoint_set: KeypointSet
    flip_test: bool

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> Self:
        """Builds the model of a configuration.

        Raises:
          UserError: the configuration is of another task, or its keys do not fit together.
        """
        if config.task != "pose":
            raise UserError(f"task: {config.task} finds no keypoints; give the run or configuration of a pose network")
        stride = networks.find(config.model.name).stride
        if any(side % stride for side in config.input_size):
            raise UserError(f"input_size: {tuple(config.input_size)} must divide by {stride}")
        keypoint_set = find_keypoint_set(config.keypoint_set)
        network = networks.build(**config.model.to_dict(), keypoints=len(keypoint_set))
        return cls(network, _codec(config), keypoint_set, config.flip_test)

    def init(self, rng: jax.Array) -> Variables:
        """Returns new variables."""
        return self.network.init(rng, jnp.zeros((1, *self.codec.input_size, 3)))

    def shapes(self) -> Variables:
        """Returns shapes and types of the variables, as a tree of ShapeDtypeStruct."""
        return jax.eval_shape(self.init, jax.random.key(0))

    def apply(self, variables: Variables, images: jax.Array) -> jax.Array:
        """Returns the heatmaps [B, H/4, W/4, K] of normalised images [B, H, W, 3], as in evaluation."""
        return self.network.apply(variables, images)

    @functools.cached_property
    def estimate(self) -> Callable[[Variables, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        """The jitted estimate(variables, image, to_image) → keypoints, heatmaps; see `estimator.make_estimator`."""
        return make_estimator(self.apply, self.codec, self.keypoint_set, self.flip_test)


def _codec(config: ml_collections.ConfigDict) -> Codec:
    return Codec(
        tuple(config.input_size),
        config.sigma,
        config.decoder,
        config.blur_kernel,
        config.blur_sigma,
        config.crop_convention,
    )
