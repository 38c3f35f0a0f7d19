"""Parameters of networks without running them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax import networks
from aggpose_jax.weights.state_dicts import Weights


def blank_variables(name: str, keypoints: int = 17) -> dict:
    """All collections of a network's variables, of zeros that take no memory."""
    return zeros(variable_shapes(networks.build(name, keypoints=keypoints)))


@functools.cache
def shapes(name: str, keypoints: int = 17) -> dict:
    """The shapes of a network's parameters."""
    return shapes_of(networks.build(name, keypoints=keypoints))


def weights(name: str, params: dict, keypoints: int = 17) -> Weights:
    """Parameters as those of a network."""
    return Weights(networks.find(name), networks.build(name, keypoints=keypoints), {"params": params})


def shapes_of(model: nn.Module) -> dict:
    """The shapes of a module's parameters."""
    return variable_shapes(model)["params"]


def variable_shapes(model: nn.Module) -> dict:
    """The shapes of all its variables, by collection."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))


def numbered(name: str, keypoints: int = 17, start: int = 0) -> dict:
    """Parameters of which no two are alike: float32 of all whole numbers from `start` on (exact below 2²⁴)."""
    leaves, tree = jax.tree.flatten(shapes(name, keypoints))
    ends = np.cumsum([start, *(leaf.size for leaf in leaves)])
    arrays = [np.arange(ends[i], ends[i + 1], dtype=np.float32).reshape(leaf.shape) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, arrays)


def blank(name: str, keypoints: int = 17) -> dict:
    """Zeros that take no memory."""
    return zeros(shapes(name, keypoints))


def zeros(like: dict) -> dict:
    """Zeros of these shapes that take no memory."""
    return jax.tree.map(lambda a: np.broadcast_to(np.float32(0), a.shape), like)
