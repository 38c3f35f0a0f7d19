"""Trains runs that differ only in their seed; returns the mean and the standard deviation of their metrics."""

import copy
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.training import loop


def parse_seeds(texts: Sequence[str]) -> list[int]:
    """Returns the seeds of a command line as numbers.

    Raises:
      UserError: a text is not a non-negative integer, or there are not at least two seeds, all different.
    """
    seeds = [int(text) for text in texts if text.strip().isdecimal()]
    if len(seeds) < max(len(texts), 2) or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds={','.join(texts)}: give two or more different integers, such as 0,1,2")
    return seeds


def train_seeds(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Trains with each seed in WORKDIR/seed_N, one after another; a run resumes if its folder has a checkpoint.

    Returns:
      The metrics of the last parameters of each seed as "seed N", then their "mean" and their standard "deviation".
    """
    metrics = {}
    for seed in seeds:
        seed_config = copy.deepcopy(config)
        seed_config.seed = seed
        metrics[f"seed {seed}"] = loop.train(seed_config, workdir / f"seed_{seed}")["network"].metrics
    return metrics | mean_and_deviation(list(metrics.values()))


def mean_and_deviation(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Returns the "mean" of each metric and its sample standard "deviation" (with n - 1)."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "deviation": {name: float(values.std(ddof=1)) for name, values in columns.items()},
    }
