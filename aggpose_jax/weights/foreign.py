"""A state dict from elsewhere → which network it is of, and our parameters of it; and our parameters → a state dict."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax.errors import UserError
from aggpose_jax.networks import STRIDE
from aggpose_jax.networks.aggpose import AggPose
from aggpose_jax.networks.mit import MitPose
from aggpose_jax.weights import tables
from aggpose_jax.weights.huggingface import original_tensors
from aggpose_jax.weights.transfer import BACKBONE

STREAMS = range(1, 5)
LAST_LAYER = ("final_layer.fc2.weight", "final_layer.fc2.bias")  # of both pose networks: a row a keypoint
BLOCK = re.compile(r"(block\d(?:_\d)?)\.(\d{1,4})\..*")  # stage and number of a block


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of one naming.

    Attributes:
      module: ours.
      mark: what names of such networks begin with, and those of later families do not.
      stages: names of the stages, as `depths` of `module` has their numbers of blocks.
      table: from `depths`.
      unused: names of tensors in such files that the network does not use.
      within: key of our parameters that the family fills; None for all.
    """

    module: Callable[..., nn.Module]
    mark: str
    stages: Sequence
    table: Callable[[Sequence], tables.Table]
    unused: str = ""
    within: str | None = None


MIT_STAGES = [f"block{i}" for i in STREAMS]
FAMILIES = {
    "AggPose": Family(
        AggPose,
        r"merge_|upsample\d_|final\.|block\d_\d",
        [[f"block{i}_{later}" if later else f"block{i}" for later in range(5 - i)] for i in STREAMS],
        tables.aggpose_table,
    ),
    "plain pose model": Family(MitPose, r"to_fused\.", MIT_STAGES, tables.mit_pose_table, unused=r"recover\..*"),
    "Mix Transformer": Family(
        MitPose,
        r"(patch_embed|block|norm)\d\.",
        MIT_STAGES,
        lambda depths: tables.mix_transformer_table(depths, BACKBONE),
        unused=r"head\..*",
        within=BACKBONE,
    ),
}


def read_tensors(tensors: Mapping[str, np.ndarray]) -> dict:
    """Our parameters from a state dict; those of a Mix Transformer alone lie below "encoder".

    Raises:
      UserError: if it is of no network of ours, naming everything in which it differs.
    """
    tensors = original_tensors(tensors)
    name = next((name for name, family in FAMILIES.items() if any(re.match(family.mark, key) for key in tensors)), None)
    if name is None:
        some = ", ".join(sorted(tensors)[:3])
        raise UserError(
            f"none of its {len(tensors)} tensors ({some}, …) is of a network of ours: {', '.join(FAMILIES)}"
        )
    family = FAMILIES[name]
    used = {key: tensor for key, tensor in tensors.items() if not re.fullmatch(family.unused, key)}
    widths, depths = tuple(_width(used, i) for i in STREAMS), _count_blocks(family.stages, used)
    try:
        return tables.from_foreign(family.table(depths), used, _shapes(family, widths, depths, _count_keypoints(used)))
    except UserError as error:
        raise UserError(f"taken for {name} of widths {widths} and blocks {depths}: {error}") from None


def write_tensors(model: nn.Module, parameters: Mapping) -> dict[str, np.ndarray]:
    """The state dict of one of our networks.

    Raises:
      UserError: if its weights have no counterpart elsewhere.
    """
    family = next((family for family in FAMILIES.values() if isinstance(model, family.module)), None)
    if family is None:
        raise UserError(f"{type(model).__name__} has no counterpart in PyTorch; the pose networks have")
    return tables.to_foreign(family.table(model.depths), parameters)


def _width(tensors: Mapping[str, np.ndarray], i: int) -> int:
    names = (f"patch_embed{i}.proj.bias", f"patch_embed{i}.norm.weight", f"norm{i}.weight")
    return next((tensors[name].size for name in names if name in tensors), 0)


def _count_keypoints(tensors: Mapping[str, np.ndarray]) -> int:
    return next((len(tensors[name]) for name in LAST_LAYER if name in tensors), 0)


def _count_blocks(stages: Any, tensors: Mapping[str, np.ndarray]) -> tuple:
    """The number of blocks of each stage, nested as the stages are."""
    depths = defaultdict(int)
    for block in filter(None, map(BLOCK.fullmatch, tensors)):
        depths[block[1]] = max(depths[block[1]], int(block[2]) + 1)
    return tuple(tuple(depths[s] for s in stage) if isinstance(stage, list) else depths[stage] for stage in stages)


def _shapes(family: Family, widths: tuple, depths: tuple, keypoints: int) -> Mapping:
    """The shapes of the parameters that a state dict fills."""
    model = family.module(keypoints=keypoints, widths=widths, depths=depths)
    try:
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, STRIDE, STRIDE, 3))))["params"]
    except (ValueError, TypeError, ZeroDivisionError):  # sizes that no such network can have
        raise UserError("there is no such network") from None
    return {family.within: shapes[family.within]} if family.within else shapes
