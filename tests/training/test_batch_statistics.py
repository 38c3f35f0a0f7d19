"""Training with batch statistics on one device, on eight devices, and with sharded parameters."""

import collections
import pathlib

import numpy as np
import pytest
from batch_statistics import assert_close
from programs import run

SCRIPT = str(pathlib.Path(__file__).parent / "batch_statistics.py")


@pytest.mark.slow
def test_statistics_are_those_of_the_global_batch_on_any_mesh(tmp_path):
    ended = run(SCRIPT, str(tmp_path / "results.npz"), devices=8)
    assert ended.returncode == 0, ended.stderr
    results = collections.defaultdict(dict)
    for key, array in np.load(tmp_path / "results.npz").items():
        mesh, name = key.split("/", 1)
        results[mesh][name] = array
    single = results.pop("1 × 1")
    assert {name.split("/")[0] for name in single} == {"loss", "gradient norm", "statistics", "parameters"}
    assert len(results) == 2
    for mesh, arrays in results.items():
        assert_close(arrays, single, mesh)
