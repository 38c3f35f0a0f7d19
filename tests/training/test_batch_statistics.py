"""Training with batch statistics on one device, on eight devices, with sharded parameters, and after a kill."""

import collections
import pathlib
import time

import numpy as np
import pytest
from batch_statistics import assert_close
from programs import QUICK, checkpoint_bytes, logged, run, start

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


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_same_bytes(tmp_path):
    options = (*QUICK, "--config.model.name=simple_baseline_tiny", "--config.steps=12", "--config.checkpoint_steps=4")
    options += ("--config.average_decay=0.9",)
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    ended = run("main", *options, f"--workdir={uninterrupted}")
    assert ended.returncode == 0, ended.stderr
    process = start("main", *options, f"--workdir={killed}")
    while logged(killed) < 6 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    ended = run("main", *options, f"--workdir={killed}")
    assert ended.returncode == 0, ended.stderr
    assert "step 4" in ended.stdout or "step 8" in ended.stdout
    resumed, expected = checkpoint_bytes(killed, 12), checkpoint_bytes(uninterrupted, 12)
    assert resumed == expected
    assert {name.split("/")[0] for name in resumed} >= {"params", "batch_stats", "ema_params", "ema_batch_stats"}
