"""The registry of networks. A pose network maps images [B, H, W, 3] and `train` to heatmaps [B, H/4, W/4, K]."""

import difflib
from typing import Any

from flax import linen as nn

from aggpose_jax.errors import UserError
from aggpose_jax.networks import (
    aggpose,
    hrformer,
    hrnet,
    mae,
    mit_pose,
    simple_baseline,
    swin_pose,
    tokenpose,
    transpose,
)
from aggpose_jax.networks.network import Network

NETWORKS = {
    "aggpose": aggpose.NETWORK,
    "mit_pose": mit_pose.NETWORK,
    "simple_baseline": simple_baseline.NETWORK,
    "hrnet": hrnet.NETWORK,
    "hrformer": hrformer.NETWORK,
    "transpose": transpose.NETWORK,
    "tokenpose": tokenpose.NETWORK,
    "swin_pose": swin_pose.NETWORK,
    "mae": mae.NETWORK,
}
NAMES = tuple(f"{kind}_{variant}" for kind, network in NETWORKS.items() for variant in network.variants)


def find(name: str) -> Network:
    """Returns the `Network` that `name` is a variant of, for example that of AggPose for "aggpose_l".

    Raises:
      UserError: the name is unknown.
    """
    return _find(name)[0]


def build(name: str, **fields: Any) -> nn.Module:
    """Returns the Flax module of the network `name`.

    Args:
      name: one of NAMES.
      fields: fields of the module; they override those of the variant. A field that the module does not have is
        ignored if its value is the default of the configuration, or 0 or False, which turns it off.

    Raises:
      UserError: the name is unknown, or the module does not have a field with another value.
    """
    network, variant = _find(name)
    for field, value in fields.items():
        if field not in network.fields and not _is_without_effect(field, value):
            raise UserError(_unknown_field_message(name, network, field, value))
    overrides = {field: value for field, value in fields.items() if field in network.fields}
    return network.module(**{**network.variants[variant], **overrides})


def _is_without_effect(field: str, value: Any) -> bool:
    """Returns whether a value is the default of the configuration for a field, or 0 or False, which turns it off."""
    # Imported here, because the configuration needs ml_collections, and networks are also measured where it is missing.
    from aggpose_jax.config import default_config

    defaults = default_config().model.to_dict()
    return field in defaults and value in (defaults[field], 0)


def _find(name: str) -> tuple[Network, str]:
    """Returns the `Network` and the variant of which a name consists: that of AggPose and "l" for "aggpose_l"."""
    for kind, network in NETWORKS.items():
        if name.startswith(f"{kind}_") and name.removeprefix(f"{kind}_") in network.variants:
            return network, name.removeprefix(f"{kind}_")
    (nearest,) = difflib.get_close_matches(name, NAMES, n=1, cutoff=0)
    raise UserError(f"model.name: unknown network {name!r}; the nearest is {nearest}; choose one of {', '.join(NAMES)}")


def _unknown_field_message(name: str, network: Network, field: str, value: Any) -> str:
    if field == "keypoints":
        return f"model.name: {name} predicts no keypoints; choose a pose network, such as aggpose_l"
    known = ", ".join(field for field in network.fields if field != "keypoints")
    return f"model.{field}: cannot be {value!r}, because {name} has no such field; set one of its fields, {known}"
