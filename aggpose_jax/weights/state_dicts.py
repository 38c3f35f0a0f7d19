"""Conversion between PyTorch state dicts and the variables of the networks of this package."""

import functools
import operator
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks.network import Network, StateDictForm
from aggpose_jax.networks.weight_table import Constant, Entry, Table

# Prefixes of names in state dicts: of PyTorch's data-parallel wrapper, of compiled models, and of models inside others.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
LISTED = 8  # number of tensors of which a message lists the names
HEAD = r"(decode_head|auxiliary_head|head|fc|classifier)\."


class Weights(NamedTuple):
    """Variables together with the network to which they belong.

    Attributes:
      network: the network architecture.
      model: the Flax module.
      variables: {"params": …} and further collections. If they come from a file of a backbone, they contain only the
        variables of the backbone.
    """

    network: Network
    model: nn.Module
    variables: dict[str, Any]


def read_state_dict(tensors: Mapping[str, np.ndarray]) -> Weights:
    """Returns the variables in a state dict, with the network to which they belong.

    Raises:
      UserError: the state dict belongs to no network of this package, or its tensors differ from those of the network;
        the message lists all differences.
    """
    for unwrapped in _without_prefixes(tensors):
        for network in networks.NETWORKS.values():
            for form in network.state_dicts:
                if form.recognises(unwrapped) or form.recognises(form.rename(unwrapped)):
                    return _read_form(network, form, form.rename(unwrapped))
    examples = ", ".join(sorted(tensors)[:3])
    known = ", ".join(form.name for network in networks.NETWORKS.values() for form in network.state_dicts)
    raise UserError(
        f"none of the {len(tensors)} tensors ({examples}, …) belongs to a supported network; supported are {known}"
    )


def _without_prefixes(tensors: Mapping[str, np.ndarray]) -> Iterator[Mapping[str, np.ndarray]]:
    """Yields the tensors as they are named, and then without one after the other of the PREFIXES that all names have.

    The tensors of a HEAD may lack the prefix: a backbone inside of a larger model has it alone.
    """
    yield tensors
    while True:
        inside = [name for name in tensors if not re.match(HEAD, name)]
        prefix = next((p for p in PREFIXES if inside and all(name.startswith(p) for name in inside)), None)
        if prefix is None:
            return
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        yield tensors


def write_state_dict(model: nn.Module, variables: Mapping[str, Any], form: str | None = None) -> dict[str, np.ndarray]:
    """Returns the state dict of a network.

    Args:
      model: the Flax module.
      variables: all collections of its variables.
      form: name of the form in which the state dict is written, see `Network.state_dicts`; None is the first form.

    Raises:
      UserError: the network or one of its parameters has no counterpart in PyTorch, or the form is unknown.
    """
    forms = next((n.state_dicts for n in networks.NETWORKS.values() if isinstance(model, n.module)), ())
    if not forms:
        raise UserError(f"{type(model).__name__} has no counterpart in PyTorch; only pose networks can be converted")
    by_name = {one.name: one for one in forms}
    if form is not None and form not in by_name:
        raise UserError(f"form {form!r} is unknown; the forms of this network are {', '.join(by_name)}")
    return to_tensors(by_name[form or forms[0].name].table(model), variables)


def _read_form(network: Network, form: StateDictForm[Any], tensors: Mapping[str, np.ndarray]) -> Weights:
    used = {name: tensor for name, tensor in tensors.items() if not re.fullmatch(form.unused, name)}
    fields = form.fields(used)
    try:
        model, shapes = _shapes(network, fields)
        return Weights(network, model, from_tensors(form.table(model), used, shapes))
    except UserError as error:
        sizes = ", ".join(f"{field} {value}" for field, value in fields.items())
        raise UserError(f"recognised as {form.name} with {sizes}: {error}") from None


def _shapes(network: Network, fields: dict[str, Any]) -> tuple[nn.Module, Mapping[str, Any]]:
    """Returns the Flax module of a network with these fields, and the shapes of its variables."""
    try:
        model = network.module(**fields)
        image = jnp.zeros((1, *network.smallest_input(model), 3))
        return model, jax.eval_shape(lambda: model.init(jax.random.key(0), image))
    except (ValueError, TypeError, ZeroDivisionError):  # JAX and Flax raise these for impossible sizes.
        raise UserError("no network can have these sizes; give a complete state dict") from None


def from_tensors(table: Table, tensors: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested variables from the tensors of a state dict.

    Args:
      table: weight table of the network.
      tensors: the tensors by name.
      like: nested variables, arrays or shapes, whose shapes the result must have.

    Raises:
      UserError: tensors are missing, unexpected, of a wrong shape, not floating-point or not finite; the message lists
        up to LISTED of each.
    """
    constants = {entry.name for entry in table if isinstance(entry, Constant)}
    _check({name: tensor for name, tensor in tensors.items() if name not in constants}, tensor_shapes(table, like))
    variables: dict[str, Any] = {}
    for entry in _entries(table):
        arrays = [entry.layout.to_flax(np.asarray(tensors[name])) for name in entry.names]
        node = variables
        for key in entry.path[:-1]:
            node = node.setdefault(key, {})
        node[entry.path[-1]] = np.stack(arrays) if entry.stacked else np.ascontiguousarray(arrays[0])
    return variables


def to_tensors(table: Table, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict from nested variables.

    Raises:
      UserError: variables have no name in PyTorch; the message lists all of them.
    """
    nameless = sorted(_paths(variables) - {entry.path for entry in _entries(table)})
    if nameless:
        names = ", ".join("/".join(path[1:]) for path in nameless)
        raise UserError(f"these parameters have no counterpart in PyTorch state dicts: {names}")
    tensors = {}
    for entry in table:
        if isinstance(entry, Constant):
            tensors[entry.name] = entry.value
            continue
        value = np.asarray(_leaf(variables, entry))
        for name, array in zip(entry.names, value if entry.stacked else [value], strict=True):
            tensors[name] = np.ascontiguousarray(entry.layout.to_torch(array))
    return tensors


def tensor_shapes(table: Table, like: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns by name the shape of every tensor that a state dict must contain, from nested variables or shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in _entries(table):
        shape = _leaf(like, entry).shape
        one = np.broadcast_to(np.float32(0), shape[1:] if entry.stacked else shape)
        shapes |= dict.fromkeys(entry.names, entry.layout.to_torch(one).shape)
    return shapes


def _entries(table: Table) -> list[Entry]:
    return [entry for entry in table if isinstance(entry, Entry)]


def _check(tensors: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    common = sorted(expected.keys() & tensors.keys())
    floats = [name for name in common if tensors[name].dtype.kind == "f"]
    missing, unexpected = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    inside = {name: original for name in unexpected if (original := _without_prefix(name, missing))}
    problems = {
        "other prefixes than the rest": sorted(inside),
        "missing": sorted(missing - set(inside.values())),
        "unexpected": sorted(unexpected - inside.keys()),
        "wrong shape": [
            f"{name} {tensors[name].shape} instead of {expected[name]}"
            for name in common
            if tensors[name].shape != expected[name]
        ],
        "not floating-point": sorted(set(common) - set(floats)),
        "NaN or infinite": [name for name in floats if not np.isfinite(tensors[name]).all()],
    }
    found = [f"{problem}: {_some(names)}" for problem, names in problems.items() if names]
    if found:
        raise UserError(
            f"the weights do not fit the network; give a complete state dict of this network alone. {'; '.join(found)}"
        )


def _without_prefix(name: str, expected: Set[str]) -> str | None:
    """Returns the expected name that a name consists of but for a prefix that it has or lacks, or None."""
    found = [one for one in expected if name.endswith(f".{one}") or one.endswith(f".{name}")]
    return min(found, key=len, default=None)


def _some(names: Sequence[str]) -> str:
    """Returns the first LISTED names as text, and the number of the others."""
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _leaf(variables: Mapping[str, Any], entry: Entry) -> Any:
    """Returns the array (or shape) in nested variables to which a weight table entry belongs."""
    return functools.reduce(operator.getitem, entry.path, variables)


def _paths(variables: Mapping[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Returns the paths of all arrays in nested variables, as tuples of keys that start with `above`."""
    paths: set[tuple[str, ...]] = set()
    for key, value in variables.items():
        paths |= _paths(value, (*above, key)) if isinstance(value, Mapping) else {(*above, key)}
    return paths
