"""One way, between our own trees: the parameters of one network become the start of another.

A backbone goes into the plain pose model and the masked autoencoder as it is, and into every layer of AggPose.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from aggpose_jax import networks
from aggpose_jax.errors import UserError

BACKBONE = "encoder"  # of every network that has its Mix Transformer in one piece
HEAD = "head"  # its shape depends on the number of keypoints, so it alone may stay new for its shape
LATER_BLOCKS = re.compile(r"stage(\d)_(?!\1)\d/blocks/.*")  # of a stream's stages after its own column


@dataclasses.dataclass(frozen=True)
class Account:
    """Where the parameters of a network come from.

    Attributes:
      origins: of each parameter by path, the path of the one it was copied from, or None where it is new.
      sizes: of each parameter by path, how many numbers it has.
      keypoints: how many the source and this network find; 0 for a network without a head.
    """

    origins: dict[str, str | None]
    sizes: dict[str, int]
    keypoints: tuple[int, int]

    @property
    def new(self) -> list[str]:
        """Modules of which parameters are new."""
        return list(dict.fromkeys(_module(path) for path, origin in self.origins.items() if origin is None))

    def __str__(self) -> str:
        """A line for each module and origin; modules that come from those of their own names share one."""
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
        there, here = self.keypoints
        return "\n".join(lines + [f"{HEAD} is new: {there} keypoints there, {here} here"] * self.other_head)

    @property
    def other_head(self) -> bool:
        """Both networks have a head, of different numbers of keypoints."""
        return all(self.keypoints) and len(set(self.keypoints)) == 2


def transplant(target: Mapping, source: Mapping) -> tuple[dict, Account]:
    """Replaces the parameters of one network by those of another that belong there.

    Between networks of one kind a parameter goes to its own path. A backbone goes into every layer of AggPose
    (§4.1): its stage i into all stages of stream i, where later stages take the first blocks, and its embeddings
    into all embeddings of the same widths, those of the fusions too.

    Args:
      target: nested arrays, or shapes, which come back where nothing is copied.
      source: nested arrays.

    Returns:
      The parameters, and where each comes from.

    Raises:
      UserError: if the networks differ in size, or share nothing.
    """
    new, old = flatten_dict(dict(target), sep="/"), flatten_dict(dict(source), sep="/")
    layered = BACKBONE in source and BACKBONE not in target
    origins = {path: _origin(path, layered) for path in new}
    origins = {path: origin if origin in old else None for path, origin in origins.items()}
    found = {path: _part(path, old[origin], new[path], layered) for path, origin in origins.items() if origin}

    misfits = {path for path, array in found.items() if array.shape != new[path].shape}
    if any(path.startswith(f"{HEAD}/") for path in misfits):
        origins |= {path: None for path in new if path.startswith(f"{HEAD}/")}
    misfits = sorted(path for path in misfits if origins[path])
    if misfits:
        raise UserError(f"its weights fit {_names_fitting(source)}, not this network: {_shapes(misfits, found, new)}")
    if not any(origins.values()):
        raise UserError(f"its weights fit {_names_fitting(source)}; none has a place in this network")
    params = {path: found[path] if origins[path] else new[path] for path in new}
    sizes = {path: leaf.size for path, leaf in new.items()}
    return unflatten_dict(params, sep="/"), Account(origins, sizes, (_keypoints(source), _keypoints(target)))


def _origin(path: str, layered: bool) -> str | None:
    if not layered:
        return path
    module, rest = path.split("/", 1)
    layer = re.fullmatch(r"(stage|embed|down)(\d)(_\d)?", module)
    return layer and f"{BACKBONE}/{'stage' if layer[1] == 'stage' else 'embed'}{layer[2]}/{rest}"


def _part(path: str, array: Any, like: Any, layered: bool) -> Any:
    return array[: like.shape[0]] if layered and LATER_BLOCKS.fullmatch(path) else array


def _module(path: str) -> str:
    """The first keys of a path: "encoder/stage1" or "stage1_2"."""
    keys = path.split("/")
    return "/".join(keys[: 2 if keys[0] == BACKBONE else 1])


def _keypoints(parameters: Mapping) -> int:
    return parameters[HEAD]["fc2"]["bias"].size if HEAD in parameters else 0


def _shapes(paths: list[str], found: Mapping, expected: Mapping) -> str:
    return ", ".join(f"{path} {found[path].shape} where {expected[path].shape} belongs" for path in paths)


def _names_fitting(parameters: Mapping) -> str:
    """The networks whose backbone has the sizes of these parameters' backbone."""
    sizes = _backbone_sizes(parameters)
    names = [
        name
        for name, (_, widths, depths) in networks.VARIANTS.items()
        if sizes == (tuple(widths), tuple(depth if isinstance(depth, int) else depth[0] for depth in depths))
    ]
    return " and ".join(names) or f"no network of ours (widths {sizes[0]}, blocks {sizes[1]})"


def _backbone_sizes(parameters: Mapping) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths and numbers of blocks of the four stages."""
    backbone = parameters.get(BACKBONE, parameters)
    stages = [backbone.get(f"stage{i}") or backbone[f"stage{i}_{i}"] for i in range(1, 5)]
    widths = tuple(len(stage["norm"]["scale"]) for stage in stages)
    return widths, tuple(len(stage["blocks"]["norm1"]["scale"]) if "blocks" in stage else 0 for stage in stages)
