"""Initialisation of a network with the variables of another one.

Variables are copied to equal paths between networks of the same architecture, and from a backbone to a network that
contains it. The backbone initialises every column of AggPose, whose module maps the paths (`backbone_origin`).
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks.network import Network, Origin
from aggpose_jax.weights.state_dicts import Weights

BACKBONE = "encoder"  # name of the Mix Transformer in networks that contain it as a single module


@dataclasses.dataclass(frozen=True)
class TransferReport:
    """A report of a transfer: the source of each variable of the target network. Its string is a table for people.

    Attributes:
      origins: for the path of each variable, the path of the source variable from which it was copied; None if it is
        new, that is, not copied.
      sizes: for the path of each variable, its number of elements.
      keypoints: numbers of keypoints of the source and of the target; 0 for a network without a head.
      head: name of the head module of the target; None if there is none.
    """

    origins: dict[str, str | None]
    sizes: dict[str, int]
    keypoints: tuple[int, int]
    head: str | None = "head"

    @property
    def new(self) -> list[str]:
        """The names of the modules of the target network that contain new variables."""
        return list(dict.fromkeys(_module(path) for path, origin in self.origins.items() if origin is None))

    def __str__(self) -> str:
        """Returns a table with one row per module and source module; modules copied to equal paths share one row."""
        same: defaultdict[str, int] = defaultdict(int)
        rows: defaultdict[tuple[str, str], int] = defaultdict(int)
        for path, origin in self.origins.items():
            module, size = _module(path), self.sizes[path]
            if origin == path:
                same[module] += size
            else:
                rows[module, _module(origin) if origin else "new"] += size
        if same:
            rows[f"{len(same)} modules", "equal paths in source"] = sum(same.values())
        lines = [f"{'module':<20}{'from':<22}{'parameters':>14}"]
        lines += [f"{module:<20}{origin:<22}{size:>14,}" for (module, origin), size in rows.items()]
        source, target = self.keypoints
        return "\n".join(
            lines
            + [f"{self.head} is new: {source} keypoints in the source, {target} in this network"] * self.heads_differ
        )

    @property
    def heads_differ(self) -> bool:
        """True if both networks have a head and their numbers of keypoints differ."""
        return all(self.keypoints) and len(set(self.keypoints)) == 2


def transfer(target: Weights, source: Weights) -> tuple[dict[str, Any], TransferReport]:
    """Returns the variables of a network, replaced by those of a source network wherever it has corresponding ones.

    Args:
      target: the network to initialise. Its variables, arrays or shapes, are returned where nothing is copied.
      source: the network to copy from, with arrays as variables.

    Returns:
      The nested variables of the target, and the transfer report.

    Raises:
      UserError: shapes of corresponding variables outside the head differ, or no variables correspond.
    """
    new, old = flatten_dict(target.variables, sep="/"), flatten_dict(source.variables, sep="/")
    origins = {path: _origin(path, target.network, source) for path in new}
    origins = {path: origin if origin and origin.path in old else None for path, origin in origins.items()}
    found = {path: _values(old[origin.path], new[path], origin) for path, origin in origins.items() if origin}

    mismatched = {path for path, array in found.items() if array.shape != new[path].shape}
    head = target.network.head
    if any(_module(path) == head for path in mismatched):
        origins |= {path: None for path in new if _module(path) == head}
    wrong = sorted(path for path in mismatched if origins[path])
    if wrong:
        raise UserError(f"its weights fit {_fitting(source)}, not this network: {_shapes(wrong, found, new)}")
    if not any(origins.values()):
        raise UserError(f"its weights fit {_fitting(source)}; this network contains none of them")
    variables = {path: found[path] if origins[path] else new[path] for path in new}
    report = TransferReport(
        {path: origin and origin.path for path, origin in origins.items()},
        {path: leaf.size for path, leaf in new.items()},
        (_keypoints(source), _keypoints(target)),
        head,
    )
    return unflatten_dict(variables, sep="/"), report


def _origin(path: str, network: Network, source: Weights) -> Origin | None:
    if network.backbone_origin and BACKBONE in source.variables["params"]:
        return network.backbone_origin(path)
    return Origin(path)


def _values(array: Any, like: Any, origin: Origin) -> Any:
    return array[: like.shape[0]] if origin.first_blocks else array


def _module(path: str) -> str:
    """Returns the name of the module to which the variable at a path belongs: "encoder/stage1" or "stage1_2"."""
    keys = path.split("/")[1:]
    return "/".join(keys[: 2 if keys[0] == BACKBONE else 1])


def _keypoints(weights: Weights) -> int:
    leaf = flatten_dict(weights.variables, sep="/").get(weights.network.keypoints_at)
    return 0 if leaf is None else leaf.shape[0]


def _shapes(paths: list[str], found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {found[path].shape} instead of {expected[path].shape}" for path in paths)


def _fitting(source: Weights) -> str:
    """Returns the names of the networks whose backbone equals that of the source, so that its weights fit, as text."""
    fields = {field: getattr(source.model, field) for field in source.network.fields}
    backbone = source.network.backbone(fields)
    names = [
        f"{kind}_{variant}"
        for kind, network in networks.NETWORKS.items()
        for variant, variant_fields in network.variants.items()
        if network.backbone(variant_fields) == backbone
    ]
    kind, *sizes = backbone
    return " and ".join(names) or f"no network of this package ({kind} with {', '.join(map(str, sizes))})"
