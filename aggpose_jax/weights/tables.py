"""Foreign weights ↔ our parameters: one table for each family of networks, used in both directions.

A table lists, for each of our parameters, the names of the foreign tensors it holds and how they are laid out. Ours
stack the blocks of a stage, so such a parameter has one foreign tensor for each block.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from aggpose_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one foreign tensor becomes one of our arrays, and back."""

    ours: Callable[[np.ndarray], np.ndarray]
    foreign: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
LINEAR = Layout(lambda a: a.T, lambda a: a.T)  # (out, in) ↔ [in, out]
CONVOLUTION = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))  # OIHW ↔ HWIO
DEPTHWISE = Layout(lambda a: a[:, 0].transpose(1, 2, 0), lambda a: a.transpose(2, 0, 1)[:, None])  # C1HW ↔ HWC


@dataclasses.dataclass(frozen=True)
class Entry:
    """One of our parameters and where it comes from.

    Attributes:
      path: keys of our parameter in the tree.
      names: of the foreign tensors; one, or one for each block where `stacked`.
      layout: of each tensor.
      stacked: our parameter has a leading axis over `names`.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    layout: Layout
    stacked: bool = False


Table = list[Entry]
Rows = Sequence[tuple[str, str, Layout]]  # (our path below a module, their name below it, layout)


def _affine(ours: str, theirs: str, kernel: str, layout: Layout) -> Rows:
    return [(f"{ours}/{kernel}", f"{theirs}.weight", layout), (f"{ours}/bias", f"{theirs}.bias", SAME)]


def _below(ours: str, theirs: str, rows: Rows) -> Rows:
    return [(f"{ours}/{path}", f"{theirs}.{name}", layout) for path, name, layout in rows]


EMBED = [*_affine("proj", "proj", "kernel", CONVOLUTION), *_affine("norm", "norm", "scale", SAME)]
FFN = [
    *_affine("fc1", "fc1", "kernel", LINEAR),
    ("depthwise_kernel", "dwconv.dwconv.weight", DEPTHWISE),
    ("depthwise_bias", "dwconv.dwconv.bias", SAME),
    *_affine("fc2", "fc2", "kernel", LINEAR),
]
ATTENTION = [
    *_affine("q", "q", "kernel", LINEAR),
    *_affine("kv", "kv", "kernel", LINEAR),
    *_affine("proj", "proj", "kernel", LINEAR),
]
REDUCE = [
    ("reduce/kernel", "sr.weight", CONVOLUTION),
    ("reduce/bias", "sr.bias", SAME),
    *_affine("reduce/norm", "norm", "scale", SAME),
]
NORM = [("scale", "weight", SAME), ("bias", "bias", SAME)]


def _block(reduced: bool) -> Rows:
    return [
        *_below("norm1", "norm1", NORM),
        *_below("attention", "attn", [*ATTENTION, *(REDUCE if reduced else [])]),
        *_below("norm2", "norm2", NORM),
        *_below("ffn", "mlp", FFN),
    ]


def _module(ours: str, theirs: str, rows: Rows) -> Table:
    """Entries of one module."""
    return [Entry((*ours.split("/"), *path.split("/")), (f"{theirs}.{name}",), layout) for path, name, layout in rows]


def _stage(ours: str, blocks: str, norm: str, depth: int, reduced: bool) -> Table:
    """Entries of a stage: its blocks, stacked in ours, and its LayerNorm."""
    stacked = [
        Entry(
            (*ours.split("/"), "blocks", *path.split("/")),
            tuple(f"{blocks}.{j}.{name}" for j in range(depth)),
            layout,
            stacked=True,
        )
        for path, name, layout in (_block(reduced) if depth else [])
    ]
    return [*stacked, *_module(f"{ours}/norm", norm, NORM)]


def mix_transformer_table(depths: Sequence[int], ours: str) -> Table:
    """The encoder in its original naming (`block1.0.attn.q.weight`); `ours` is its path in our tree."""
    table = []
    for i, depth in enumerate(depths, start=1):
        table += _module(f"{ours}/embed{i}", f"patch_embed{i}", EMBED)
        table += _stage(f"{ours}/stage{i}", f"block{i}", f"norm{i}", depth, reduced=i < 4)
    return table


def mit_pose_table(depths: Sequence[int]) -> Table:
    """The plain pose model; foreign `recover.*` tensors are unused there and have no entry."""
    table = mix_transformer_table(depths, "encoder")
    for i in range(1, 5):
        table += _module(f"fuse{i}", f"to_fused.{i - 1}.mlp", FFN)
    return [*table, *_module("head", "final_layer", FFN)]


def aggpose_table(depths: Sequence[Sequence[int]]) -> Table:
    """AggPose with the released fusion, in the names of the published weights."""
    table = []
    for i, stream in enumerate(depths, start=1):
        table += _module(f"embed{i}", f"patch_embed{i}", EMBED)
        for later, depth in enumerate(stream):
            suffix = f"{i}_{later}" if later else f"{i}"
            table += _stage(f"stage{i}_{i + later}", f"block{suffix}", f"norm{suffix}", depth, reduced=i < 4)
    for column in range(2, 5):
        merge, down = f"merge_{'1234'[:column]}", "k" * (column - 2)
        for i in range(1, column + 1):
            table += _module(f"merge{i}_{column}", f"{merge}_{i}", FFN)
            if i > 1:
                table += _module(f"down{i}_{column}", f"patch_embed{i - 1}{i}{down}", EMBED)
            if i < column:
                table += _module(f"up{i}_{column}", f"upsample{column - 1}_{i + 1}{i}.mlp", FFN)
    for i in range(2, 5):
        table += _module(f"head_up{i}", f"upsample4_{i}1.mlp", FFN)
    return [*table, *_module("head_merge", "final", FFN), *_module("head", "final_layer", FFN)]


def from_foreign(table: Table, tensors: Mapping[str, np.ndarray], like: Mapping) -> dict:
    """Our nested parameters from foreign tensors.

    Args:
      table: of the network.
      tensors: by foreign name.
      like: nested arrays or shapes, of which the parameters must be.

    Raises:
      UserError: naming every tensor that is missing, surplus, of another shape, no floating-point number or not finite.
    """
    _check(tensors, foreign_shapes(table, like))
    parameters: dict = {}
    for entry in table:
        arrays = [entry.layout.ours(np.asarray(tensors[name])) for name in entry.names]
        node = parameters
        for key in entry.path[:-1]:
            node = node.setdefault(key, {})
        node[entry.path[-1]] = np.stack(arrays) if entry.stacked else np.ascontiguousarray(arrays[0])
    return parameters


def to_foreign(table: Table, parameters: Mapping) -> dict[str, np.ndarray]:
    """Foreign tensors from our nested parameters.

    Raises:
      UserError: naming every parameter that has no foreign name.
    """
    nameless = sorted(_paths(parameters) - {entry.path for entry in table})
    if nameless:
        names = ", ".join("/".join(path) for path in nameless)
        raise UserError(f"these parameters have no name in PyTorch weights: {names}")
    tensors = {}
    for entry in table:
        value = np.asarray(_leaf(parameters, entry))
        for name, array in zip(entry.names, value if entry.stacked else [value], strict=True):
            tensors[name] = np.ascontiguousarray(entry.layout.foreign(array))
    return tensors


def foreign_shapes(table: Table, like: Mapping) -> dict[str, tuple[int, ...]]:
    """The shape of every foreign tensor, from nested arrays or shapes of ours."""
    shapes = {}
    for entry in table:
        shape = _leaf(like, entry).shape
        one = np.broadcast_to(np.float32(0), shape[1:] if entry.stacked else shape)
        shapes |= dict.fromkeys(entry.names, entry.layout.foreign(one).shape)
    return shapes


def _check(tensors: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    both = sorted(expected.keys() & tensors.keys())
    numbers = [name for name in both if tensors[name].dtype.kind == "f"]
    problems = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "surplus": sorted(tensors.keys() - expected.keys()),
        "of another shape": [
            f"{name} {tensors[name].shape} where {expected[name]} belongs"
            for name in both
            if tensors[name].shape != expected[name]
        ],
        "no floating-point numbers": sorted(set(both) - set(numbers)),
        "NaN or infinite": [name for name in numbers if not np.isfinite(tensors[name]).all()],
    }
    found = [f"{problem}: {', '.join(names)}" for problem, names in problems.items() if names]
    if found:
        raise UserError(f"the weights do not fit the network; {'; '.join(found)}")


def _leaf(parameters: Mapping, entry: Entry):
    return functools.reduce(operator.getitem, entry.path, parameters)


def _paths(parameters: Mapping, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The path of every leaf."""
    paths = set()
    for key, value in parameters.items():
        paths |= _paths(value, (*above, key)) if isinstance(value, Mapping) else {(*above, key)}
    return paths
