"""Parameter trees and shapes of networks that are not initialised or run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax import networks
from aggpose_jax.weights.state_dicts import Weights


def blank_variables(name: str, keypoints: int = 17) -> dict:
    """Returns all collections of a network's variables, filled with zeros that take no memory."""
    return zeros(variable_shapes(networks.build(name, keypoints=keypoints)))


@functools.cache
def shapes(name: str, keypoints: int = 17) -> dict:
    """Returns the shapes of a network's parameters."""
    return shapes_of(networks.build(name, keypoints=keypoints))


def weights(name: str, params: dict, keypoints: int = 17) -> Weights:
    """Returns `Weights` that hold these parameters of a network."""
    return Weights(networks.find(name), networks.build(name, keypoints=keypoints), {"params": params})


def shapes_of(model: nn.Module) -> dict:
    """Returns the shapes of a module's parameters."""
    return variable_shapes(model)["params"]


def variable_shapes(model: nn.Module) -> dict:
    """Returns the shapes of all variables of a module, by collection."""
    network = next((network for network in networks.NETWORKS.values() if isinstance(model, network.module)), None)
    size = network.input_size(model) if network and network.input_size else (64, 64)
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *size, 3))))


def numbered(name: str, keypoints: int = 17, start: int = 0) -> dict:
    """Returns parameters whose elements all differ: the integers from `start` on as float32 (exact below 2²⁴)."""
    leaves, tree = jax.tree.flatten(shapes(name, keypoints))
    ends = np.cumsum([start, *(leaf.size for leaf in leaves)])
    arrays = [np.arange(ends[i], ends[i + 1], dtype=np.float32).reshape(leaf.shape) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, arrays)


def blank(name: str, keypoints: int = 17) -> dict:
    """Returns a network's parameters, filled with zeros that take no memory."""
    return zeros(shapes(name, keypoints))


def zeros(like: dict) -> dict:
    """Returns arrays of zeros with these shapes that take no memory."""
    return jax.tree.map(lambda a: np.broadcast_to(np.float32(0), a.shape), like)
