"""The networks. The pose networks are images [B, H, W, 3], train → heatmaps [B, H/4, W/4, K]."""

import dataclasses
from typing import Any

from flax import linen as nn

from aggpose_jax.errors import UserError
from aggpose_jax.networks import aggpose, mae, mit

STRIDE = 32  # the sides of an input divide by it

VARIANTS = {
    **{f"aggpose_{name}": (aggpose.AggPose, *sizes) for name, sizes in aggpose.VARIANTS.items()},
    **{f"mit_pose_{name}": (mit.MitPose, *sizes) for name, sizes in mit.VARIANTS.items()},
    **{f"mae_{name}": (mae.MaskedAutoencoder, *sizes) for name, sizes in mit.VARIANTS.items()},
}


def build(name: str, **fields: Any) -> nn.Module:
    """Returns the network `name` of VARIANTS.

    Args:
      name: of the network.
      fields: of its module, and may replace widths and depths; those that are of other modules are left out.

    Raises:
      UserError: for an unknown name.
    """
    if name not in VARIANTS:
        raise UserError(f"model.name: unknown network {name!r}; known are {', '.join(VARIANTS)}")
    module, widths, depths = VARIANTS[name]
    own = {field.name for field in dataclasses.fields(module)}
    fields = {name: value for name, value in fields.items() if name in own}
    return module(**{"widths": widths, "depths": depths, **fields})
