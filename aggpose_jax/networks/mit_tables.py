"""Names of the modules of Mix Transformers in PyTorch weights, shared by the networks that contain these modules."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from aggpose_jax.networks.weight_table import (
    CONVOLUTION,
    DEPTHWISE,
    LINEAR,
    Entry,
    Row,
    module_entries,
    prefix_rows,
    stacked_entries,
    weight_and_bias,
)

BLOCK = re.compile(r"(block\d(?:_\d)?)\.(\d{1,4})\..*")  # groups: the stage and the number of a tensor's block

NORM = [Row("scale", "weight"), Row("bias", "bias")]
EMBED = [*weight_and_bias("proj", "proj", "kernel", CONVOLUTION), *prefix_rows("norm", "norm", NORM)]
FFN = [
    *weight_and_bias("fc1", "fc1", "kernel", LINEAR),
    Row("depthwise_kernel", "dwconv.dwconv.weight", DEPTHWISE),
    Row("depthwise_bias", "dwconv.dwconv.bias"),
    *weight_and_bias("fc2", "fc2", "kernel", LINEAR),
]
ATTENTION = [
    *weight_and_bias("q", "q", "kernel", LINEAR),
    *weight_and_bias("kv", "kv", "kernel", LINEAR),
    *weight_and_bias("proj", "proj", "kernel", LINEAR),
]
REDUCE = [
    Row("reduce/kernel", "sr.weight", CONVOLUTION),
    Row("reduce/bias", "sr.bias"),
    *prefix_rows("reduce/norm", "norm", NORM),
]


def _block(reduced: bool) -> list[Row]:
    return [
        *prefix_rows("norm1", "norm1", NORM),
        *prefix_rows("attention", "attn", [*ATTENTION, *(REDUCE if reduced else [])]),
        *prefix_rows("norm2", "norm2", NORM),
        *prefix_rows("ffn", "mlp", FFN),
    ]


def stage(path: str, blocks: str, norm: str, depth: int, reduced: bool) -> list[Entry]:
    """Returns the weight table entries of a Mix Transformer stage: its stacked blocks and its LayerNorm.

    Args:
      path: path of the stage among the Flax variables.
      blocks, norm: names of the list of blocks and of the LayerNorm in PyTorch.
      depth: number of blocks.
      reduced: whether the attention has a sequence reduction.
    """
    names = [f"{blocks}.{j}" for j in range(depth)]
    return [
        *stacked_entries(f"{path}/blocks", names, _block(reduced)),
        *module_entries(f"{path}/norm", norm, NORM),
    ]


def encoder(path: str, depths: Sequence[int]) -> list[Entry]:
    """Returns the weight table entries of the Mix Transformer at `path`; its tensors have the original names.

    An example of these names is block1.0.attn.q.weight.
    """
    entries: list[Entry] = []
    for i, depth in enumerate(depths, start=1):
        entries += module_entries(f"{path}/embed{i}", f"patch_embed{i}", EMBED)
        entries += stage(f"{path}/stage{i}", f"block{i}", f"norm{i}", depth, reduced=i < 4)
    return entries


def widths(tensors: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """Returns the numbers of channels of the four stages of a state dict; 0 for a stage that it does not contain."""
    return tuple(_width(tensors, i) for i in range(1, 5))


def _width(tensors: Mapping[str, np.ndarray], i: int) -> int:
    names = (f"patch_embed{i}.proj.bias", f"patch_embed{i}.norm.weight", f"norm{i}.weight")
    return next((tensors[name].size for name in names if name in tensors), 0)


def count_blocks(stages: Sequence[str], tensors: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """Returns the number of blocks of each stage of a state dict; `stages` are the names of the stages in PyTorch."""
    depths: defaultdict[str, int] = defaultdict(int)
    for block in filter(None, map(BLOCK.fullmatch, tensors)):
        depths[block[1]] = max(depths[block[1]], int(block[2]) + 1)
    return tuple(depths[name] for name in stages)


def count_keypoints(tensors: Mapping[str, np.ndarray]) -> int:
    """Returns the number of outputs of the last layer of a pose network; 0 for a state dict without that layer."""
    names = ("final_layer.fc2.weight", "final_layer.fc2.bias")
    return next((len(tensors[name]) for name in names if name in tensors), 0)
