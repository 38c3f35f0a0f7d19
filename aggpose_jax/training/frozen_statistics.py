"""Batch normalisation of frozen layers in training."""

import contextlib
from collections.abc import Iterator, Sequence

from flax import linen as nn

from aggpose_jax.networks.batch_norm import BatchNorm
from aggpose_jax.training.optimizer import path_matcher


@contextlib.contextmanager
def frozen_statistics(patterns: Sequence[str]) -> Iterator[None]:
    """While a network is applied: a frozen BatchNorm normalises with its running statistics and does not update them.

    So the networks need not know what is frozen.

    Args:
      patterns: regular expressions of parameter paths; a BatchNorm is frozen where one fully matches its scale.
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
