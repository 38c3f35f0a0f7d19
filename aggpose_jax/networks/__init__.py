"""The networks. A pose network maps images [B, H, W, 3], train → heatmaps [B, H/4, W/4, K]."""

import difflib
from typing import Any

from flax import linen as nn

from aggpose_jax.config import default_config
from aggpose_jax.errors import UserError
from aggpose_jax.networks import aggpose, mae, mit_pose, simple_baseline
from aggpose_jax.networks.network import Network

NETWORKS = {
    "aggpose": aggpose.NETWORK,
    "mit_pose": mit_pose.NETWORK,
    "simple_baseline": simple_baseline.NETWORK,
    "mae": mae.NETWORK,
}
NAMES = tuple(f"{kind}_{variant}" for kind, network in NETWORKS.items() for variant in network.variants)


def find(name: str) -> Network:
    """Returns the kind of the network `name`, such as "aggpose_l".

    Raises:
      UserError: for an unknown name.
    """
    return _find(name)[0]


def build(name: str, **fields: Any) -> nn.Module:
    """Returns the module of the network `name`.

    Args:
      name: one of NAMES.
      fields: of its module, and may replace those of the variant. A field that the module lacks may be given with its
        default in the configuration.

    Raises:
      UserError: for an unknown name, or a field that the network lacks.
    """
    network, variant = _find(name)
    defaults = default_config().model.to_dict()
    for field, value in fields.items():
        if field not in network.fields and not (field in defaults and value == defaults[field]):
            raise UserError(_lacks(name, network, field, value))
    own = {field: value for field, value in fields.items() if field in network.fields}
    return network.module(**{**network.variants[variant], **own})


def _find(name: str) -> tuple[Network, str]:
    """The kind and the variant."""
    for kind, network in NETWORKS.items():
        if name.startswith(f"{kind}_") and name.removeprefix(f"{kind}_") in network.variants:
            return network, name.removeprefix(f"{kind}_")
    (nearest,) = difflib.get_close_matches(name, NAMES, n=1, cutoff=0)
    raise UserError(f"model.name: unknown network {name!r}; the nearest is {nearest}; known are {', '.join(NAMES)}")


def _lacks(name: str, network: Network, field: str, value: Any) -> str:
    if field == "keypoints":
        return f"model.name: {name} finds no keypoints; give a pose network, such as aggpose_l"
    known = ", ".join(field for field in network.fields if field != "keypoints")
    return f"model.{field}: {value!r}, but {name} has no such field; its fields are {known}"
