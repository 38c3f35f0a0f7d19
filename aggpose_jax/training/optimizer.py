"""AdamW with schedules and masks, and the moving average of variables."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from aggpose_jax import networks


def path_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether the path of a parameter ("stage1_1/blocks/norm1/scale") is fully matched by one of the patterns."""
    compiled = [re.compile(pattern) for pattern in patterns]
    return lambda path: any(pattern.fullmatch(path) for pattern in compiled)


def paths_matching(params: Any, patterns: Sequence[str]) -> Any:
    """A tree of bool like `params`: the path of a leaf is fully matched by one of the patterns."""
    matches = path_matcher(patterns)
    return jax.tree_util.tree_map_with_path(
        lambda path, _: matches(jax.tree_util.keystr(path, simple=True, separator="/")), params
    )


def make_schedule(config, steps_per_epoch: float, total_steps: int) -> optax.Schedule:
    """The learning rate by step: linear warm-up, then cosine to 0 or ×0.1 at each of `decay_epochs`."""
    warmup = round(config.warmup_share * total_steps or config.warmup_epochs * steps_per_epoch)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(total_steps - warmup, 1))
    else:
        boundaries = {round(epoch * steps_per_epoch) - warmup: 0.1 for epoch in config.decay_epochs}
        after = optax.piecewise_constant_schedule(config.learning_rate, boundaries)
    ramp = optax.linear_schedule(config.learning_rate / max(warmup, 1), config.learning_rate, max(warmup - 1, 1))
    return optax.join_schedules([ramp, after], [warmup]) if warmup else after


def make_optimizer(config, params: Any, schedule: optax.Schedule) -> optax.GradientTransformation:
    """AdamW; decays where `decay` matches, leaves what `freeze` matches as it is and keeps no state for it.

    Args:
      config: reads betas, adam_epsilon, weight_decay, decay, clip_norm, freeze, layer_decay and model.name.
      params: whose paths are matched; shapes suffice.
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
    """Smaller steps, the further a layer is from the head (Bao et al. 2022); stacked blocks have a factor each."""
    factors = jax.tree.map(lambda layers: jnp.float32(decay) ** layers, depths)
    return optax.stateless(lambda updates, _: jax.tree.map(jnp.multiply, updates, factors))


def update_average(average: Any, variables: Any, decay: float, step: jax.Array) -> Any:
    """The next exponential moving average of variables; young averages forget faster, so the start does not linger."""
    decay = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: a + (1 - decay) * (p - a), average, variables)
