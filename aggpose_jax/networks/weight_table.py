"""Weight tables, which relate the variables of a network to the tensors of a PyTorch state dict in both directions.

A table lists, for each variable, the names of the tensors that it contains and their layout. Variables of stacked
blocks have a leading axis over blocks, so such a variable contains one tensor per block.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict


@dataclasses.dataclass(frozen=True)
class Layout:
    """A conversion between the axes of one PyTorch tensor and those of the Flax array."""

    to_flax: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
LINEAR = Layout(lambda a: a.T, lambda a: a.T)  # (out, in) ↔ [in, out]
CONVOLUTION = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))  # OIHW ↔ HWIO
DEPTHWISE = Layout(lambda a: a[:, 0].transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)[:, None])  # C1HW ↔ HWC


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of a weight table: a variable of the network and the tensors of a PyTorch state dict that it contains.

    Attributes:
      path: keys of the variable, its collection first: ("params", "head", "fc1", "bias").
      names: name of the tensor, or the names of the tensors of all blocks if `stacked`.
      layout: layout of each tensor.
      stacked: whether the variable has a leading axis over `names`.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    layout: Layout
    stacked: bool = False


@dataclasses.dataclass(frozen=True)
class Constant:
    """A tensor without a variable: written with a fixed value, because PyTorch expects it, and ignored when read."""

    name: str
    value: np.ndarray


Table = Sequence[Entry | Constant]

# Names in PyTorch of the variables of Flax modules; other variables have equal names. A kernel's layout is that of its
# number of axes.
LEAF_NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
KERNEL_LAYOUTS = {2: LINEAR, 3: DEPTHWISE, 4: CONVOLUTION}


class Row(NamedTuple):
    """A variable of a kind of module, from which `module_entries` and `stacked_entries` make entries of a weight table.

    Attributes:
      path: path of the variable, relative to the module.
      name: name of the tensor in PyTorch, relative to the module.
      layout: conversion between the axes of the two.
      collection: collection of the variable.
    """

    path: str
    name: str
    layout: Layout = SAME
    collection: str = "params"


def weight_and_bias(path: str, name: str, kernel: str, layout: Layout) -> list[Row]:
    """Returns the `Row`s of the weight and the bias of a submodule `path`, which PyTorch calls `name`.

    `kernel` is the name of the weight in Flax, such as "kernel" or "scale".
    """
    return [Row(f"{path}/{kernel}", f"{name}.weight", layout), Row(f"{path}/bias", f"{name}.bias")]


def prefix_rows(path: str, name: str, rows: Sequence[Row]) -> list[Row]:
    """Returns the `Row`s of a module as rows of its parent, in which it is called `path`, or `name` in PyTorch."""
    return [row._replace(path=f"{path}/{row.path}", name=f"{name}.{row.name}") for row in rows]


def module_entries(path: str, name: str, rows: Sequence[Row]) -> list[Entry]:
    """Returns the weight table entries of the module at `path`, whose name in PyTorch is `name`."""
    return [Entry(_keys(path, row), (f"{name}.{row.name}",), row.layout) for row in rows]


def stacked_entries(path: str, names: Sequence[str], rows: Sequence[Row]) -> list[Entry]:
    """Returns the weight table entries of equal modules: stacked at `path` in Flax, separate `names` in PyTorch."""
    return [
        Entry(_keys(path, row), tuple(f"{name}.{row.name}" for name in names), row.layout, stacked=True)
        for row in (rows if names else [])
    ]


def _keys(path: str, row: Row) -> tuple[str, ...]:
    return (row.collection, *path.split("/"), *row.path.split("/"))


def named_entries(
    model: nn.Module, input_size: tuple[int, int], renamed: Mapping[str, str], name: Callable[[str], str]
) -> list[Entry]:
    """Returns the weight table entries of a network whose modules are named as in PyTorch.

    Args:
      model: the Flax module.
      input_size: (height, width) in pixels of an image that it accepts.
      renamed: names in PyTorch of the modules that have others, by their name in Flax.
      name: function that completes the name of a variable, such as "layer1.0.conv1.weight", by what precedes it.
    """
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *input_size, 3))))
    entries = []
    for path, leaf in flatten_dict(shapes).items():
        _, *modules, variable = path
        parts = [*(renamed.get(module, module) for module in modules), LEAF_NAMES.get(variable, variable)]
        layout = KERNEL_LAYOUTS[len(leaf.shape)] if variable == "kernel" else SAME
        entries.append(Entry(path, (name(".".join(parts)),), layout))
    return entries


def features(tensors: Mapping[str, np.ndarray], name: str, missing: int) -> int:
    """Returns the number of output channels of the layer `name` of a state dict; `missing` if it has no such layer."""
    shapes = [tensors[key].shape for key in (f"{name}.bias", f"{name}.weight") if key in tensors]
    return next((shape[0] for shape in shapes if shape), missing)
