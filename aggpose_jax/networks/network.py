"""What the rest of the package knows of a network; each network's file states its own."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax.networks.weight_table import Table

Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class StateDictForm:
    """One naming under which weights of a network are published.

    Attributes:
      name: of the form, for messages and to choose it: "AggPose".
      mark: regular expression that the beginning of some tensor name matches, and of no name in forms listed later.
      fields: tensors → the fields of the module that they show.
      table: module → its names.
      unused: regular expression of names that such files hold and the network has no use for.
      rename: tensors → tensors in the names of the table, for forms that also come in another naming.
    """

    name: str
    mark: str
    fields: Callable[[Tensors], dict[str, Any]]
    table: Callable[[nn.Module], Table]
    unused: str = ""
    rename: Callable[[Tensors], Tensors] = dict

    def recognises(self, tensors: Tensors) -> bool:
        """True if the tensors are named in this form."""
        return any(re.match(self.mark, name) for name in tensors)


class Origin(NamedTuple):
    """Where a variable is copied from: the path in the other network; the first blocks of a deeper stack suffice."""

    path: str
    first_blocks: bool = False


@dataclasses.dataclass(frozen=True)
class Network:
    """A kind of network.

    Attributes:
      module: the Linen module, called with images [B, H, W, 3] and `train`.
      variants: fields of the module by name of the variant.
      stride: the sides of an input divide by it.
      depths: flat parameters → for each path, int array of layers from the head; () or [blocks, 1, …] where stacked.
      backbone: fields → what two networks have in common if weights of one fit the other: its kind and sizes.
      state_dicts: forms of published weights; the first is written. Empty if there is no counterpart in PyTorch.
      head: the top-level module whose shape depends on the number of keypoints; None if there is none.
      keypoints_at: path of a variable with one number a keypoint.
      backbone_origin: path → its origin in a network that has its encoder in one piece, or None.
    """

    module: Callable[..., nn.Module]
    variants: Mapping[str, Mapping[str, Any]]
    stride: int
    depths: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
    backbone: Callable[[Mapping[str, Any]], tuple]
    state_dicts: tuple[StateDictForm, ...] = ()
    head: str | None = None
    keypoints_at: str = ""
    backbone_origin: Callable[[str], Origin | None] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields of the module."""
        return tuple(field.name for field in dataclasses.fields(self.module) if field.name not in ("parent", "name"))

    def layer_decay_depths(self, params: Mapping) -> dict:
        """The number of layers from each parameter to the head, which has 0.

        Args:
          params: nested arrays or shapes of such a network.

        Returns:
          A tree like it of int arrays: () or, for the stacked parameters of blocks, [blocks, 1, …].
        """
        return unflatten_dict(dict(self.depths(flatten_dict(dict(params), sep="/"))), sep="/")
