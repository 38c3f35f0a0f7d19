"""Freezes the running mean and variance of the BatchNorm layers that `freeze` matches during training."""

import contextlib
from collections.abc import Iterator, Sequence

from flax import linen as nn

from aggpose_jax.networks.batch_norm import BatchNorm
from aggpose_jax.training.optimizer import path_matcher


@contextlib.contextmanager
def frozen_statistics(patterns: Sequence[str]) -> Iterator[None]:
    """Makes frozen BatchNorm layers use their running statistics and leave them unchanged, inside the context.

    It intercepts the calls of the modules, so networks do not depend on which layers are frozen.

    Args:
      patterns: regular expressions for parameter paths; a BatchNorm is frozen if one fully matches the path of its
        scale.
    """
    is_frozen = path_matcher(patterns)

    def intercept(call, args, kwargs, context):
        module = context.module
        if isinstance(module, BatchNorm) and context.method_name == "__call__" and is_frozen(_scale_path(module)):
            return call(args[0], use_running_average=True)
        return call(*args, **kwargs)

    with nn.intercept_methods(intercept):
        yield


def _scale_path(module: BatchNorm) -> str:
    return "/".join((*module.path, "scale"))
