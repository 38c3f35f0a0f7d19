"""AdamW with learning-rate schedules, masks by parameter path and layer decay; the moving average of variables."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from aggpose_jax import networks


def path_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Returns a predicate on parameter paths such as "stage1_1/blocks/norm1/scale": True if a pattern fully matches."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda path: any(pattern.fullmatch(path) for pattern in compiled)


def paths_matching(params: Any, patterns: Sequence[str]) -> Any:
    """Returns a tree of bool like `params`, True where a pattern fully matches the path of a leaf."""
    matches = path_matcher(patterns)
    return jax.tree_util.tree_map_with_path(
        lambda path, _: matches(jax.tree_util.keystr(path, simple=True, separator="/")), params
    )


def make_schedule(config, steps_per_epoch: float, total_steps: int) -> optax.Schedule:
    """Returns the learning rate by step: linear warm-up, then a cosine decay or ×0.1 at each of `decay_epochs`."""
    warmup = round(config.warmup_share * total_steps or config.warmup_epochs * steps_per_epoch)
    if config.schedule == "cosine":
        steps, lowest = max(total_steps - warmup, 1), config.lowest_rate / max(config.learning_rate, 1e-30)
        after = optax.cosine_decay_schedule(config.learning_rate, steps, alpha=lowest)
    else:
        boundaries = {round(epoch * steps_per_epoch) - warmup: 0.1 for epoch in config.decay_epochs}
        after = optax.piecewise_constant_schedule(config.learning_rate, boundaries)
    ramp = optax.linear_schedule(config.learning_rate / max(warmup, 1), config.learning_rate, max(warmup - 1, 1))
    return optax.join_schedules([ramp, after], [warmup]) if warmup else after


def make_optimizer(config, params: Any, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Returns AdamW with weight decay for the parameters that `decay` matches; those that `freeze` matches are fixed.

    The optimizer keeps no state for frozen parameters.

    Args:
      config: betas, adam_epsilon, weight_decay, decay, clip_norm, freeze, layer_decay and model.name are read.
      params: tree of parameters, or of their shapes, whose paths are matched.
      schedule: learning rate by step.
    """
    adamw = optax.adamw(
        schedule,
        *config.betas,
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
        mask=lambda p: paths_matching(p, config.decay),
    )
    optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw) if config.clip_norm else adamw
    if config.freeze:
        labels = jax.tree.map(lambda frozen: "frozen" if frozen else "trained", paths_matching(params, config.freeze))
        optimizer = optax.multi_transform({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
    if config.layer_decay != 1:
        depths = networks.find(config.model.name).layer_decay_depths(params)
        optimizer = optax.chain(optimizer, _scale_by_layer(depths, config.layer_decay))
    return optimizer


def _scale_by_layer(depths: Any, decay: float) -> optax.GradientTransformation:
    """Returns a transformation that scales updates by decay^depth, the layer-wise decay of Bao et al. 2022.

    `depths` is the tree of the layer-decay depths of the parameters, see `Network.layer_decay_depths`.
    """
    factors = jax.tree.map(lambda depth: jnp.float32(decay) ** depth, depths)
    return optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, factors))


def update_ema(ema: Any, variables: Any, decay: float, step: jax.Array) -> Any:
    """Returns the next exponential moving average; its decay is smaller in early steps, to forget initial values."""
    effective = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: a + (1 - effective) * (p - a), ema, variables)
