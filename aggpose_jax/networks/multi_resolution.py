"""Parallel branches of several resolutions that exchange their features (HRNet, Sun et al. 2019, §3).

A network runs modules one after the other. A module runs blocks on each branch, and then adds up, for each branch, the
features of all branches at its resolution and width. HRNet and HRFormer differ in the blocks, in how a branch is
reduced to a lower resolution, and in how it is enlarged.
"""

import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.networks.batch_norm import BatchNorm
from aggpose_jax.networks.network import depths_in_order
from aggpose_jax.networks.residual import Bottleneck, convolution
from aggpose_jax.networks.weight_table import features

STEM_WIDTH = 64
init = nn.initializers.normal(0.001)


class ConvBatchNorm(nn.Module):
    """A convolution without bias and a BatchNorm: [B, H, W, C] → [B, H / stride, W / stride, features].

    Attributes:
      features: number of output channels.
      kernel, stride: size and stride of the convolution.
      train: normalise with the statistics of the batch instead of the running statistics.
      dtype: type of activations and products.
    """

    features: int
    kernel: int
    stride: int
    train: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = convolution(self.features, self.kernel, self.stride, init, self.dtype, "0")(x)
        return BatchNorm(name="1")(x, not self.train)


class Module(nn.Module):
    """Blocks on every branch, and the exchange between the branches: a list of maps → a list of maps.

    Branch b is [B, H / 2^b, W / 2^b, widths[b]]. A subclass says what happens to one branch.

    Attributes:
      widths: channels of the branches, the finest first.
      outputs: number of branches that are returned, the finest first.
      train: normalise with the statistics of the batch instead of the running statistics.
      dtype: type of activations and products.
    """

    widths: Sequence[int]
    outputs: int
    train: bool
    dtype: Any = jnp.float32

    def run_blocks(self, x, branch: int):
        """Returns the map of a branch after its blocks, of equal shape."""
        raise NotImplementedError

    def halve(self, x, features: int, is_last: bool, name: str):
        """Returns a map at half its resolution with another number of channels; `is_last` before it is added."""
        raise NotImplementedError

    def enlarge(self, x, factor: int):
        """Returns a map [B, H, W, C] as [B, factor · H, factor · W, C]."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, branches):
        branches = [self.run_blocks(x, branch) for branch, x in enumerate(branches)]
        return [nn.relu(self.add_up(branches, target)) for target in range(self.outputs)]

    def add_up(self, branches, target: int):
        """Returns the sum of all branches, each at the resolution and width of the branch `target`."""
        return functools.reduce(operator.add, (self.convert(x, source, target) for source, x in enumerate(branches)))

    def convert(self, x, source: int, target: int):
        """Returns the map of the branch `source` at the resolution and width of the branch `target`."""
        name, width = f"fuse_layers.{target}.{source}", self.widths[target]
        if source > target:
            x = ConvBatchNorm(width, 1, 1, self.train, self.dtype, name=name)(x)
            return self.enlarge(x, 2 ** (source - target))
        for step in range(target - source):
            is_last = step == target - source - 1
            x = self.halve(x, width if is_last else self.widths[source], is_last, f"{name}.{step}")
        return x


def run_trunk(
    images,
    train: bool,
    widths: Sequence[int],
    modules: Sequence[int],
    bottlenecks: int,
    make_module: Callable[..., Module],
    dtype: Any,
):
    """Runs the stem, the bottlenecks and all modules of a network, as modules of the network that calls it.

    Args:
      images: [B, H, W, 3].
      train: normalise with the statistics of the batch instead of the running statistics.
      widths: channels of the branches, at strides 4, 8, …
      modules: number of modules of stages 2, 3, …; stage s has s branches.
      bottlenecks: number of bottlenecks after the stem.
      make_module: function from the widths of the branches, the number of branches to return and a name to a `Module`.
      dtype: type of activations and products.

    Returns:
      The finest branch, [B, H/4, W/4, widths[0]]. The last module makes no other.
    """
    x = images.astype(dtype)
    for i in (1, 2):
        x = convolution(STEM_WIDTH, 3, 2, init, dtype, f"conv{i}")(x)
        x = nn.relu(BatchNorm(name=f"bn{i}")(x, not train))
    for i in range(bottlenecks):
        x = Bottleneck(STEM_WIDTH, train, projected=not i, init=init, dtype=dtype, name=f"layer1.{i}")(x)
    branches = [nn.relu(ConvBatchNorm(widths[0], 3, 1, train, dtype, name="transition1.0")(x))]
    coarsest, last = x, len(modules) + 1
    for stage, count in enumerate(modules, start=2):
        name = f"transition{stage - 1}.{stage - 1}.0"
        branches = [*branches, nn.relu(ConvBatchNorm(widths[stage - 1], 3, 2, train, dtype, name=name)(coarsest))]
        for i in range(count):
            outputs = 1 if (stage, i) == (last, count - 1) else stage
            branches = make_module(widths[:stage], outputs, name=f"stage{stage}.{i}")(branches)
        coarsest = branches[-1]
    return branches[0]


def layer_decay_depths(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the layer-decay depths of the parameters, see `Network.depths`, in the order of `layer_order`."""
    return depths_in_order(params, layer_order(params))


def layer_order(params: Mapping[str, Any]) -> Callable[[str], tuple[int, ...] | None]:
    """Returns the function from the path of a parameter to the position of its layer, or to None for the head.

    Every bottleneck is a layer, and all k-th blocks of the branches of a module are one. A transition belongs to the
    first blocks after it, an exchange to the last blocks before it.
    """
    blocks = [re.match(r"stage(\d)\.(\d+)/branches\.\d\.(\d+)/", path) for path in params]
    last = max(int(block[3]) for block in blocks if block)

    def order(path: str) -> tuple[int, ...] | None:
        if re.match(r"(conv|bn)\d/", path):
            return (0,)
        if found := re.match(r"layer1\.(\d+)/", path):
            return 1, int(found[1])
        if found := re.match(r"transition(\d)\.", path):
            return int(found[1]) + 1, 0, 0
        if found := re.match(r"stage(\d)\.(\d+)/(?:branches\.\d\.(\d+)|fuse_layers)", path):
            return int(found[1]), int(found[2]), last if found[3] is None else int(found[3])
        return None

    return order


def trunk_fields(tensors: Mapping[str, np.ndarray], prefix: str, blocks: str) -> dict[str, Any]:
    """Returns what follows from the names and shapes of a state dict about a trunk, as fields of a network.

    Args:
      tensors: the tensors by name.
      prefix: prefix of the names of the trunk.
      blocks: name of the field that is the number of blocks of a branch in a module.
    """
    found = [re.match(rf"{re.escape(prefix)}stage(\d)\.(\d{{1,3}})\.branches\.0\.(\d{{1,3}})\.", n) for n in tensors]
    numbers = [tuple(map(int, match.groups())) for match in found if match]
    bottlenecks = [re.match(rf"{re.escape(prefix)}layer1\.(\d{{1,3}})\.", name) for name in tensors]
    stages = range(2, max((stage for stage, _, _ in numbers), default=2) + 1)
    return {
        "width": features(tensors, f"{prefix}transition1.0.1", missing=0),
        "modules": tuple(max((i + 1 for s, i, _ in numbers if s == stage), default=1) for stage in stages),
        "bottlenecks": max((int(match[1]) + 1 for match in bottlenecks if match), default=1),
        blocks: max((block + 1 for _, _, block in numbers), default=1),
    }
