"""Draws crops of synthetic infants into a file, for training where nothing can draw them: the accelerator report.

python -m aggpose_jax.benchmarks.accelerator_crops FILE
"""

import argparse
import functools
import sys
from typing import Any

import numpy as np

from aggpose_jax import cli, io
from aggpose_jax.benchmarks.accelerator.training import SPLITS
from aggpose_jax.config import read_experiment
from aggpose_jax.data import transforms
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.data.views import Augmentation
from aggpose_jax.estimation.pose_model import PoseModel

COUNTS = (1150, 150)  # training and held-out crops, which take 37 MB when they are compressed
ARRAYS = ("image", "keypoints", "weight", "absent")


def parser() -> cli.Parser:
    """Returns the parser of this program."""
    parser = cli.Parser("python -m aggpose_jax.benchmarks.accelerator_crops", "Draws crops of synthetic infants.")
    parser.add_argument("file", type=cli.path, metavar="FILE", help="file to write, such as accelerator_crops.npz")
    return parser


def draw(counts: tuple[int, int]) -> dict[str, np.ndarray]:
    """Returns the crops of the experiment `synthetic`, as training makes them.

    Args:
      counts: numbers of training and of held-out crops. The training crops are augmented.
    """
    config = read_experiment("synthetic")
    make_batch: Any = functools.partial(
        transforms.make_batch,
        keypoint_set=(model := PoseModel.from_config(config)).keypoint_set,
        input_size=model.codec.input_size,
        augmentation=Augmentation(**config.augmentation.to_dict()),
        protocol=model.protocol,
        upright=config.upright,
    )
    arrays: dict[str, np.ndarray] = {}
    for prefix, split, count in zip(SPLITS, ("train", "test"), counts, strict=True):
        source = SyntheticInfants(count, split=split)
        records = [source[index] for index in range(count)]
        seeds = np.random.SeedSequence(config.seed).spawn(count)
        generators = [np.random.default_rng(seed) for seed in seeds] if split == "train" else None
        batch = make_batch(records, generators)
        arrays |= {prefix + name: batch[name] for name in ARRAYS if name in batch}
    return arrays


def main(arguments: argparse.Namespace) -> None:
    """Draws the crops and writes the file."""
    arrays = draw(COUNTS)
    with io.atomic_path(arguments.file) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's type takes allow_pickle for an array
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    cli.run(parser, main, sys.argv[1:])
