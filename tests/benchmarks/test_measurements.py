"""Tests of rows of measurements on times and limits that are set by hand."""

import pytest

from aggpose_jax.benchmarks.machine import Machine, measure
from aggpose_jax.benchmarks.measurements import Measurement, table
from aggpose_jax.benchmarks.programs import Cost
from aggpose_jax.benchmarks.timing import Ratio

LIMITS = Machine("processor", 2, {"float32": 100e9, "bfloat16": 400e9}, 10e9)
COST = Cost(operations=8e9, traffic=2e8, memory=3e6, compile_seconds=1.5)


def test_shares_are_those_of_the_limits_in_the_median_time():
    fields = Measurement("forward", 8, [0.1, 0.4, 0.2], COST).fields(LIMITS)
    assert fields["median_seconds"] == 0.2
    assert fields["samples_per_second"] == pytest.approx(40)
    assert fields["matrix_share"] == pytest.approx(0.4)
    assert fields["copy_share"] == pytest.approx(0.1)
    assert fields["bound"] == "matrix products"
    half = Measurement("forward", 8, [0.2], COST, "bfloat16").fields(LIMITS)
    assert half["matrix_share"] == pytest.approx(0.1)
    assert half["bound"] == "neither"
    copying = Measurement("copy", 8, [0.02], Cost(1e6, 1.8e8, 0, 0)).fields(LIMITS)
    assert copying["bound"] == "memory traffic"


def test_a_table_says_what_is_slower_and_what_could_not_be_run():
    rows = [
        Measurement("forward, 8 crops", 8, [0.2], COST),
        Measurement("forward, 8 crops, torch", 8, [0.5], slower=Ratio(2.5, 2.25, 3.0)),
        Measurement("forward, 64 crops", 64, note="out of memory"),
    ]
    head, ours, torch, failed = table(rows, LIMITS).splitlines()
    assert head.split() == ["ms", "/s", "GFLOP", "GB", "matrix", "copy", "MB", "compile", "s", "bound"]
    assert ours.split() == [
        "forward,",
        "8",
        "crops",
        "200.0",
        "40.0",
        "8.0",
        "0.20",
        "0.40",
        "0.10",
        "3",
        "1.5",
        "matrix",
        "products",
    ]
    assert torch.endswith("2.50 times as long (2.25–3.00)")
    assert failed.split() == ["forward,", "64", "crops", "out", "of", "memory"]


def test_the_limits_of_this_machine_are_positive():
    limits = measure(size=64, copied=1 << 16)
    assert set(limits.matrix) == {"float32", "bfloat16"}
    assert min(*limits.matrix.values(), limits.copy) > 0
    assert limits.describe().startswith(f"{limits.device}, {limits.cores} cores: matrix products float32 ")
