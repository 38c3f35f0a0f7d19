"""Tests of the benchmark of the data pipeline: what it measures, not the speeds."""

import numpy as np
import pytest

from aggpose_jax.benchmarks import data_pipeline
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.data import writers
from aggpose_jax.data.synthetic import SyntheticInfants
from aggpose_jax.training.tasks import make_task


def small_config():
    config = debug_variant(default_config())
    config.data, config.keypoint_set, config.synthetic_train = "synthetic", "infant_21", 4
    return config


def test_data_has_a_row_for_each_step_and_for_the_pipeline(monkeypatch):
    monkeypatch.setattr(data_pipeline.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(data_pipeline, "ROUNDS", 1)
    rows = data_pipeline.measure(small_config(), count=8, workers=[0])
    assert list(rows) == [
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
    metrics = list(rows.values())
    assert [list(row) for row in metrics] == (4 * [["images/s", "CPU ms"]] + [list(data_pipeline.COLUMNS)]) * 2
    for steps in (metrics[:5], metrics[5:]):
        bound, pipeline = steps[3]["images/s"], steps[4]
        assert pipeline["of bound"] == pytest.approx(pipeline["images/s"] / bound)


def test_bound_makes_the_same_crops_as_the_pipeline(tmp_path):
    writers.write_coco(SyntheticInfants(3), tmp_path, "train")
    config = small_config()
    config.data, config.data_dir, config.train_split, config.batch_size = "coco", str(tmp_path), "train", 3
    config.augmentation.half_body = config.augmentation.flip = config.augmentation.scale = 0.0
    config.augmentation.rotation_probability = 0.0
    task = make_task(config)
    bound = data_pipeline.parts(task, count=3)[data_pipeline.BOUND]
    crops = next(task.train_batches(0))["image"]
    np.testing.assert_array_equal(sorted(bound(i).tolist() for i in range(3)), sorted(crops.tolist()))


def test_loop_calls_the_function_with_each_number_once():
    calls = []
    assert data_pipeline.loop_speed(calls.append, 20, threads=3).rate > 0
    assert sorted(calls) == list(range(20))
