"""A state dict from elsewhere → which network it is of, and our parameters of it."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from aggpose_jax import models
from aggpose_jax.errors import UserError
from aggpose_jax.models import aggpose, mit, weights
from aggpose_jax.models.huggingface import original_tensors
from aggpose_jax.models.transplant import BACKBONE

LAST_LAYER = ("final_layer.fc2.weight", "final_layer.fc2.bias")  # of both pose networks: a row a keypoint


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of one naming.

    Attributes:
      variants: widths and depths by name.
      table: of a network of given depths.
      unused: names of tensors in such files that the network does not use.
    """

    variants: Mapping[str, tuple]
    table: Callable[[Sequence], weights.Table]
    unused: str = ""


FAMILIES = {
    "aggpose": Family(aggpose.VARIANTS, weights.aggpose_table),
    "mit_pose": Family(mit.VARIANTS, weights.mit_pose_table, r"recover\..*"),
    "mit": Family(mit.VARIANTS, lambda depths: weights.mix_transformer_table(depths, BACKBONE), r"head\..*"),
}


@dataclasses.dataclass(frozen=True)
class ForeignWeights:
    """Parameters that came from elsewhere.

    Attributes:
      network: its name, "aggpose_l", "mit_pose_b5", or "mit_b5" for a Mix Transformer alone.
      keypoints: that it finds; 0 for a Mix Transformer alone.
      parameters: nested, as our network of that name has them; those of a Mix Transformer alone lie below "encoder".
    """

    network: str
    keypoints: int
    parameters: dict


def read_tensors(tensors: Mapping[str, np.ndarray]) -> ForeignWeights:
    """Recognises a state dict and takes our parameters from it.

    Raises:
      UserError: if it is of no network of ours, naming everything in which it differs from the nearest.
    """
    tensors = original_tensors(tensors)
    family, variant, table = _nearest(tensors)
    network = f"{family}_{variant}"
    tensors = _used(tensors, FAMILIES[family])
    keypoints = max((len(tensors[name]) for name in LAST_LAYER if name in tensors), default=0)
    try:
        parameters = weights.from_foreign(table, tensors, _shapes(network, keypoints))
    except UserError as error:
        raise UserError(f"taken for {network}: {error}") from None
    return ForeignWeights(network, keypoints, parameters)


def table_of(network: str) -> weights.Table:
    """The table of one of our networks.

    Raises:
      UserError: if its weights have no counterpart elsewhere.
    """
    family, variant = network.rsplit("_", 1)
    if family not in FAMILIES:
        raise UserError(f"{network}: its weights have no counterpart in PyTorch; {', '.join(FAMILIES)} have")
    return FAMILIES[family].table(FAMILIES[family].variants[variant][1])


def _nearest(tensors: Mapping[str, np.ndarray]) -> tuple[str, str, weights.Table]:
    """The family, variant and table whose names, and then widths, differ least."""
    candidates = []
    for family_name, family in FAMILIES.items():
        names = _used(tensors, family).keys()
        for variant, (widths, depths) in family.variants.items():
            table = family.table(depths)
            known = {name for entry in table for name in entry.names}
            if names & known:
                wrong = sum(_width(tensors, i) != width for i, width in enumerate(widths, start=1))
                candidates.append((len(names ^ known), wrong, family_name, variant, table))
    if not candidates:
        some = ", ".join(sorted(tensors)[:3])
        raise UserError(f"none of its {len(tensors)} tensors ({some}, …) is of a network of {', '.join(FAMILIES)}")
    return min(candidates, key=lambda candidate: candidate[:2])[2:]


def _used(tensors: Mapping[str, np.ndarray], family: Family) -> dict[str, np.ndarray]:
    return {name: tensor for name, tensor in tensors.items() if not re.fullmatch(family.unused, name)}


def _width(tensors: Mapping[str, np.ndarray], i: int) -> int | None:
    bias = tensors.get(f"patch_embed{i}.proj.bias")
    return None if bias is None else bias.size


@functools.cache
def _shapes(network: str, keypoints: int) -> dict:
    """The shapes of a network's parameters."""
    alone = network.startswith("mit_") and not network.startswith("mit_pose_")
    model = models.build(network.replace("mit_", "mit_pose_") if alone else network, keypoints=keypoints)
    image = jnp.zeros((1, models.STRIDE, models.STRIDE, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image))["params"]
    return {BACKBONE: shapes[BACKBONE]} if alone else shapes
