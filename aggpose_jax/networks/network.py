"""The interface between a network and the rest of the package. The file of each network defines its `Network`."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax.networks.weight_table import Table

Tensors = Mapping[str, np.ndarray]
Module = TypeVar("Module", bound=nn.Module)


@dataclasses.dataclass(frozen=True)
class StateDictForm(Generic[Module]):
    """A naming of tensors under which weights of a network, a `Module`, are published.

    Attributes:
      name: name of the form, such as "AggPose", in messages and to choose it.
      mark: regular expression that recognises the form: it matches the beginning of at least one tensor name of this
        form, and of none in the forms listed after it.
      also: a second regular expression that must match the beginning of a tensor name too.
      fields: function from the tensors to the fields of the module that follow from them.
      table: function from a module to its weight table.
      unused: regular expression for names of tensors in such files that the network does not use.
      rename: function from tensors to tensors with the names of the table, for forms with a second naming.
    """

    name: str
    mark: str
    fields: Callable[[Tensors], dict[str, Any]]
    table: Callable[[Module], Table]
    also: str = ""
    unused: str = ""
    rename: Callable[[Tensors], Tensors] = dict

    def recognises(self, tensors: Tensors) -> bool:
        """Returns True if the tensors of a state dict are named in this form."""
        return all(any(re.match(mark, name) for name in tensors) for mark in (self.mark, self.also))


class Origin(NamedTuple):
    """The source of a copied variable.

    Attributes:
      path: path of the variable in the source network.
      first_blocks: whether the first blocks of a deeper stack are copied.
    """

    path: str
    first_blocks: bool = False


@dataclasses.dataclass(frozen=True)
class Network:
    """A network architecture with its variants and the names of its weights.

    Attributes:
      module: the Linen module, called with images [B, H, W, 3] and `train`.
      variants: fields of the module, by name of the variant.
      stride: height and width of an input must be multiples of it.
      depths: function from flat parameters to the layer-decay depth of each path, the number of layers from the
        parameter to the head: an int array, () or, for stacked parameters of blocks, [blocks, 1, …].
      backbone: function from fields of the module to the kind and sizes of its backbone. Weights of one network fit
        another if these are equal.
      state_dicts: forms of published weights, of which the first is the default for writing. Empty if the network has
        no counterpart in PyTorch.
      head: name of the top-level module whose shape depends on the number of keypoints; None if there is none.
      keypoints_at: path of a variable whose first axis is that of the keypoints; empty if there is none.
      backbone_origin: function from the path of a variable to its origin in a network whose encoder is a single module,
        or to None for a variable without one. None if variables are copied from equal paths.
      input_size: function from a module to the only (height, width) in pixels of the images that it accepts. None if it
        accepts all multiples of the stride.
    """

    module: type[nn.Module]
    variants: Mapping[str, Mapping[str, Any]]
    stride: int
    depths: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]
    backbone: Callable[[Mapping[str, Any]], tuple]
    state_dicts: tuple[StateDictForm[Any], ...] = ()
    head: str | None = None
    keypoints_at: str = ""
    backbone_origin: Callable[[str], Origin | None] | None = None
    input_size: Callable[[Any], tuple[int, int]] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields of the module, such as depths, which a configuration can set."""
        return tuple(field.name for field in dataclasses.fields(self.module) if field.name not in ("parent", "name"))

    def smallest_input(self, model: nn.Module) -> tuple[int, int]:
        """Returns the height and width in pixels of the smallest images that a module of this network accepts."""
        return self.input_size(model) if self.input_size else (self.stride, self.stride)

    def layer_decay_depths(self, params: Mapping) -> dict:
        """Returns the layer-decay depth of each parameter: the number of layers from it to the head, whose depth is 0.

        Args:
          params: nested parameters of the network, arrays or shapes.

        Returns:
          A tree of the same structure with int arrays: () or, for stacked parameters of blocks, [blocks, 1, …].
        """
        return unflatten_dict(dict(self.depths(flatten_dict(dict(params), sep="/"))), sep="/")


def depths_in_order(params: Mapping[str, Any], order: Callable[[str], tuple[int, ...] | None]) -> dict[str, np.ndarray]:
    """Returns layer-decay depths, see `Network.depths`, of a network whose layers follow each other.

    Args:
      params: flat parameters of the network.
      order: function from a path to the position of its layer, by which layers are sorted; None for the head.
    """
    positions = {path: order(path) for path in params}
    layers = sorted({position for position in positions.values() if position is not None})
    depths = {position: len(layers) - index for index, position in enumerate(layers)}
    return {path: np.asarray(0 if position is None else depths[position]) for path, position in positions.items()}
