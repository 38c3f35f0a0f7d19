"""A small clean data set in which tests plant faults."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest

from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants

SIZES = {"train": 22, "val": 5, "test": 5}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> pathlib.Path:
    """Returns a directory of synthetic infants in three splits, without faults."""
    directory = tmp_path_factory.mktemp("drawn")
    for seed, (split, count) in enumerate(SIZES.items()):
        source = SyntheticInfants(count, split="train" if split == "train" else "test", seed=seed)
        writers.write_coco(source, directory, split)
    return directory


@pytest.fixture
def dataset(drawn, tmp_path) -> pathlib.Path:
    """Returns a copy of the directory `drawn`."""
    return shutil.copytree(drawn, tmp_path / "data")


@pytest.fixture
def edited(dataset) -> Callable:
    """Returns a context manager that yields the annotations of a split of `dataset`, and writes them back."""

    @contextlib.contextmanager
    def edit(split: str) -> Iterator[dict]:
        file = dataset / "annotations" / f"person_keypoints_{split}.json"
        coco = json.loads(file.read_text())
        yield coco
        file.write_text(json.dumps(coco))

    return edit
