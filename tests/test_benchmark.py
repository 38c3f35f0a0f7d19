"""Tests of the benchmark program: what it measures and prints, not the speeds."""

import re

import numpy as np
import pytest

from aggpose_jax import benchmark
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.errors import UserError
from aggpose_jax.training.tasks import make_task


def small_config():
    config = debug_variant(default_config())
    config.data, config.keypoint_set, config.synthetic_train = "synthetic", "infant_21", 4
    return config


def test_data_table_has_a_row_for_each_step_and_for_the_pipeline(monkeypatch):
    monkeypatch.setattr(benchmark.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    lines = benchmark.benchmark_data(small_config(), count=8, workers=[0]).splitlines()[1:]
    names = [re.match(r".* (threads|workers)", line)[0] for line in lines]
    assert names == [
        f"{part}, {threads} threads{workers}"
        for threads in (1, 2)
        for part, workers in (
            ("read", ""),
            ("decode", ""),
            ("warp", ""),
            ("decode, warp", ""),
            ("pipeline", ", 0 workers"),
        )
    ]
    metrics = [[float(number) for number in line[len(max(names, key=len)) :].split()] for line in lines]
    assert [len(row) for row in metrics] == [2, 2, 2, 2, 3] * 2
    assert all(row[0] > 0 for row in metrics)
    for rows in (metrics[:5], metrics[5:]):
        bound, pipeline = rows[3][0], rows[4]
        assert abs(pipeline[2] - pipeline[0] / bound) < 2e-3


def test_bound_makes_the_same_crops_as_the_pipeline(tmp_path):
    writers.write_coco(SyntheticInfants(3), tmp_path, "train")
    config = small_config()
    config.data, config.data_dir, config.train_split, config.batch_size = "coco", str(tmp_path), "train", 3
    config.augmentation.half_body = config.augmentation.flip = config.augmentation.scale = 0.0
    config.augmentation.rotation_probability = 0.0
    task = make_task(config)
    bound = benchmark.parts(task, count=3)[benchmark.BOUND]
    crops = next(task.train_batches(0))["image"]
    np.testing.assert_array_equal(sorted(bound(i).tolist() for i in range(3)), sorted(crops.tolist()))


def test_mae_table_has_a_row_for_each_network_and_step(monkeypatch):
    steps = ("full encode", "visible-patch encode")
    monkeypatch.setattr(benchmark, "masked_steps", lambda network, batch: {step: lambda: batch for step in steps})
    lines = benchmark.benchmark_mae(["b2", "tiny"], batch=1).splitlines()[1:]
    names = [f"{network}, {step}" for network in ("b2", "tiny") for step in steps]
    assert [" ".join(line.split()[:-2]) for line in lines] == names
    assert [line.split()[-1] for line in lines[::2]] == ["1.000", "1.000"]


@pytest.mark.slow
def test_both_masked_encodes_have_the_same_gradient(monkeypatch):
    monkeypatch.setattr(benchmark, "MASKED_SIZE", (64, 96))
    steps = benchmark.masked_steps("tiny", batch=2)
    masked, visible, full = (
        steps[name]()["encoder"] for name in ("masked full encode", "visible-patch encode", "full encode")
    )
    masked, visible, full = (np.asarray(tree["embed1"]["proj"]["kernel"]) for tree in (masked, visible, full))
    np.testing.assert_allclose(visible, masked, atol=1e-4 * np.abs(masked).max())
    assert not np.allclose(full, masked, rtol=0.1)


def test_unknown_network_raises():
    with pytest.raises(UserError, match=r"--networks: b9 .*\bb0\b"):
        benchmark.benchmark_mae(["b9"], batch=1)


def test_loop_calls_the_function_with_each_number_once():
    calls = []
    assert benchmark.loop_speed(calls.append, 20, threads=3).rate > 0
    assert sorted(calls) == list(range(20))
