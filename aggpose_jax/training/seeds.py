"""Runs that differ in nothing but their seed, and how far their metrics spread."""

import copy
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from aggpose_jax.errors import UserError
from aggpose_jax.training import loop


def parse_seeds(texts: Sequence[str]) -> list[int]:
    """The seeds of a command line.

    Raises:
      UserError: they are no whole numbers, or not two different ones at least.
    """
    seeds = [int(text) for text in texts if text.strip().isdecimal()]
    if len(seeds) < max(len(texts), 2) or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds={','.join(texts)}: give two or more different whole numbers, such as 0,1,2")
    return seeds


def train_seeds(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Trains each seed in WORKDIR/seed_N, one after another; each goes on from what its folder holds.

    Returns:
      The metrics of the last parameters of each seed by "seed N", then of all their "mean" and their "deviation".
    """
    metrics = {}
    for seed in seeds:
        one = copy.deepcopy(config)
        one.seed = seed
        metrics[f"seed {seed}"] = loop.train(one, workdir / f"seed_{seed}")["network"].metrics
    return metrics | spread(list(metrics.values()))


def spread(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The "mean" of each metric and its standard "deviation", that of a sample (n - 1)."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "deviation": {name: float(values.std(ddof=1)) for name, values in columns.items()},
    }
