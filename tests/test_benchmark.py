"""The measuring program: what it measures, not how fast that is."""

import re

from aggpose_jax import benchmark
from aggpose_jax.training.config import default_config, shrink


def test_a_row_for_each_part_and_for_the_pipeline_with_its_share(monkeypatch):
    monkeypatch.setattr(benchmark.os, "cpu_count", lambda: 2)
    config = shrink(default_config())
    config.data, config.keypoint_set, config.synthetic_train = "synthetic", "infant_21", 4
    lines = benchmark.benchmark_data(config, count=8, workers=[0]).splitlines()[1:]
    names = [re.match(r"(.*?) {2,}", line)[1] for line in lines]
    assert names == [
        f"{part}, {threads} threads{workers}"
        for threads in (1, 2)
        for part, workers in (("record", ""), ("record, decode", ""), ("decode, warp", ""), ("pipeline", ", 0 workers"))
    ]
    figures = [[float(number) for number in line[len(max(names, key=len)) :].split()] for line in lines]
    assert [len(row) for row in figures] == [2, 2, 2, 3] * 2
    assert all(row[0] > 0 for row in figures)
    for rows in (figures[:4], figures[4:]):
        bound, pipeline = rows[2][0], rows[3]
        assert abs(pipeline[2] - pipeline[0] / bound) < 2e-3


def test_a_rate_counts_calls():
    seen = []
    assert benchmark.rate(seen.append, range(20), threads=2) > 0
    assert set(seen) == set(range(20))
