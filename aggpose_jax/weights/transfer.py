"""Variables of one network as the start of another.

Between networks of one kind a variable goes to its own path. A backbone goes into the networks that contain it, and
into every layer of AggPose, whose file says where.
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

BACKBONE = "encoder"  # the module of every network that has its Mix Transformer in one piece


@dataclasses.dataclass(frozen=True)
class TransferReport:
    """Where the variables of a network come from.

    Attributes:
      origins: for each variable by path, the path of the one it was copied from, or None where it is new.
      sizes: for each variable by path, how many numbers it has.
      keypoints: how many the source and this network find; 0 for a network without a head.
      head: name of the head of this network.
    """

    origins: dict[str, str | None]
    sizes: dict[str, int]
    keypoints: tuple[int, int]
    head: str | None = "head"

    @property
    def new(self) -> list[str]:
        """Modules of which variables are new."""
        return list(dict.fromkeys(_module(path) for path, origin in self.origins.items() if origin is None))

    def __str__(self) -> str:
        """A line for each module and origin; modules that come from those of their names share one."""
        same, rows = defaultdict(int), defaultdict(int)
        for path, origin in self.origins.items():
            module, size = _module(path), self.sizes[path]
            if origin == path:
                same[module] += size
            else:
                rows[module, _module(origin) if origin else "new"] += size
        if same:
            rows[f"{len(same)} modules", "those of their names"] = sum(same.values())
        lines = [f"{'module':<20}{'from':<22}{'parameters':>14}"]
        lines += [f"{module:<20}{origin:<22}{size:>14,}" for (module, origin), size in rows.items()]
        source, target = self.keypoints
        return "\n".join(lines + [f"{self.head} is new: {source} keypoints there, {target} here"] * self.other_head)

    @property
    def other_head(self) -> bool:
        """Both networks have a head, of different numbers of keypoints."""
        return all(self.keypoints) and len(set(self.keypoints)) == 2


def transfer(target: Weights, source: Weights) -> tuple[dict, TransferReport]:
    """Replaces the variables of one network by those of another that belong there.

    Args:
      target: its variables, or their shapes, come back where nothing is copied.
      source: arrays.

    Returns:
      The variables, and where each comes from.

    Raises:
      UserError: the networks differ in size, or share nothing.
    """
    new, old = flatten_dict(target.variables, sep="/"), flatten_dict(source.variables, sep="/")
    origins = {path: _origin(path, target.network, source) for path in new}
    origins = {path: origin if origin and origin.path in old else None for path, origin in origins.items()}
    found = {path: _values(old[origin.path], new[path], origin) for path, origin in origins.items() if origin}

    misfits = {path for path, array in found.items() if array.shape != new[path].shape}
    head = target.network.head
    if any(_module(path) == head for path in misfits):
        origins |= {path: None for path in new if _module(path) == head}
    misfits = sorted(path for path in misfits if origins[path])
    if misfits:
        raise UserError(f"its weights fit {_fitting(source)}, not this network: {_shapes(misfits, found, new)}")
    if not any(origins.values()):
        raise UserError(f"its weights fit {_fitting(source)}; none has a place in this network")
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
    """The first keys of a path below its collection: "encoder/stage1" or "stage1_2"."""
    keys = path.split("/")[1:]
    return "/".join(keys[: 2 if keys[0] == BACKBONE else 1])


def _keypoints(weights: Weights) -> int:
    leaf = flatten_dict(weights.variables, sep="/").get(weights.network.keypoints_at)
    return 0 if leaf is None else leaf.size


def _shapes(paths: list[str], found: Mapping, expected: Mapping) -> str:
    return ", ".join(f"{path} {found[path].shape} where {expected[path].shape} belongs" for path in paths)


def _fitting(source: Weights) -> str:
    """The networks whose backbone has the sizes of the source's."""
    fields = {field: getattr(source.model, field) for field in source.network.fields}
    backbone = source.network.backbone(fields)
    names = [
        f"{kind}_{variant}"
        for kind, network in networks.NETWORKS.items()
        for variant, own in network.variants.items()
        if network.backbone(own) == backbone
    ]
    kind, *sizes = backbone
    return " and ".join(names) or f"no network of ours ({kind} of {', '.join(map(str, sizes))})"
