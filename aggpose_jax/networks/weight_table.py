"""How variables of a network correspond to the tensors of a PyTorch state dict: one table, used in both directions.

A table lists, for each variable, the names of the tensors that it holds and their layout. Variables of stacked blocks
have a leading axis over blocks, so such a variable holds one tensor a block.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the axes of one PyTorch tensor become those of a Flax array, and back."""

    to_flax: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
LINEAR = Layout(lambda a: a.T, lambda a: a.T)  # (out, in) ↔ [in, out]
CONVOLUTION = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))  # OIHW ↔ HWIO
DEPTHWISE = Layout(lambda a: a[:, 0].transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)[:, None])  # C1HW ↔ HWC


@dataclasses.dataclass(frozen=True)
class Entry:
    """One variable and the tensors it holds.

    Attributes:
      path: keys of the variable, its collection first: ("params", "head", "fc1", "bias").
      names: of the tensors; one, or one for each block where `stacked`.
      layout: of each tensor.
      stacked: the variable has a leading axis over `names`.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    layout: Layout
    stacked: bool = False


@dataclasses.dataclass(frozen=True)
class Constant:
    """A tensor that the architecture determines: PyTorch expects it, so it is written; it is ignored when read."""

    name: str
    value: np.ndarray


Table = Sequence[Entry | Constant]


class Row(NamedTuple):
    """A variable of a module: its path below the module, its name in PyTorch below the module's, and its layout."""

    path: str
    name: str
    layout: Layout = SAME
    collection: str = "params"


def weight_and_bias(path: str, name: str, kernel: str, layout: Layout) -> list[Row]:
    """Rows of a module with `weight`, which is called `kernel` in Flax, and `bias`."""
    return [Row(f"{path}/{kernel}", f"{name}.weight", layout), Row(f"{path}/bias", f"{name}.bias")]


def below(path: str, name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a module as rows of the module that contains it under `path`, in PyTorch under `name`."""
    return [row._replace(path=f"{path}/{row.path}", name=f"{name}.{row.name}") for row in rows]


def module_entries(path: str, name: str, rows: Sequence[Row]) -> list[Entry]:
    """Entries of the module at `path`, in PyTorch at `name`."""
    return [Entry(_keys(path, row), (f"{name}.{row.name}",), row.layout) for row in rows]


def stacked_entries(path: str, names: Sequence[str], rows: Sequence[Row]) -> list[Entry]:
    """Entries of modules of one kind that are stacked at `path`, in PyTorch one by one at `names`."""
    return [
        Entry(_keys(path, row), tuple(f"{name}.{row.name}" for name in names), row.layout, stacked=True)
        for row in (rows if names else [])
    ]


def _keys(path: str, row: Row) -> tuple[str, ...]:
    return (row.collection, *path.split("/"), *row.path.split("/"))
