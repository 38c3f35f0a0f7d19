"""The summary of traces whose events are written by hand; times are in microseconds."""

import gzip
import json

import pytest

from aggpose_jax.benchmarks.accelerator import trace
from aggpose_jax.benchmarks.accelerator.hlo import CONTROL, ELEMENTWISE, KINDS, MATRIX


def named(pid, process, threads):
    names = [{"name": "process_name", "args": {"name": process}}]
    names += [{"tid": tid, "name": "thread_name", "args": {"name": name}} for tid, name in threads.items()]
    return [{"ph": "M", "pid": pid, **name} for name in names]


def event(pid, tid, name, start, duration, **args):
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": start, "dur": duration, "args": args}


GPU = [
    *named(1, "/device:GPU:0", {10: "Stream #20(Compute)", 11: "Stream #21(MemcpyD2D)", 12: "XLA Ops"}),
    *named(2, "/device:GPU:1", {10: "Stream #20(Compute)"}),
    *named(3, "/host:CPU", {10: "python"}),
    event(1, 10, "nvjet_hsh_128x64", 100, 40, hlo_op="custom-call.3"),
    event(1, 10, "loop_fusion_7", 150, 20, hlo_op="fusion.7"),
    event(1, 11, "MemcpyD2D", 160, 30),  # overlaps with the fusion
    event(1, 10, "some_kernel", 240, 60),
    event(1, 12, "fusion.7", 100, 999),  # a summary of the stream
    event(2, 10, "fusion.7", 100, 999),
    event(3, 10, "step", 0, 999),
]


def test_times_of_a_gpu_are_those_of_its_streams():
    summary = trace.summarise(GPU, {"fusion.7": ELEMENTWISE, "custom-call.3": MATRIX}, steps=2)
    milliseconds = summary["milliseconds"]
    assert list(milliseconds) == list(KINDS)
    assert milliseconds["matrix products"] == pytest.approx(0.020)
    assert milliseconds["elementwise"] == pytest.approx(0.010)
    assert milliseconds["copies and transposes"] == pytest.approx(0.015)
    assert milliseconds["other"] == pytest.approx(0.030)
    assert summary["launches"] == 2
    assert summary["idle_share"] == pytest.approx((10 + 50) / 200)  # 140 to 150, and 190 to 240, of 100 to 300


def test_times_of_a_tpu_are_those_of_its_operations_without_loops():
    events = [
        *named(5, "/device:TPU:0", {1: "XLA Modules", 2: "XLA Ops"}),
        event(5, 1, "jit_step", 0, 500),
        event(5, 2, "while.1", 0, 100),
        event(5, 2, "fusion.1", 0, 50),
        event(5, 2, "convolution.9", 50, 50),
    ]
    summary = trace.summarise(events, {"while.1": CONTROL, "fusion.1": MATRIX}, steps=1)
    assert summary["milliseconds"]["matrix products"] == pytest.approx(0.05)
    assert summary["milliseconds"]["convolutions"] == pytest.approx(0.05)
    assert (summary["launches"], summary["idle_share"]) == (2, 0)


def test_times_of_a_cpu_are_those_of_events_with_an_operation():
    events = [
        *named(7, "/host:CPU", {1: "tf_XLAPjRtCpuClient/47"}),
        event(7, 1, "dot.2", 0, 30, hlo_op="dot.2"),
        event(7, 1, "ThunkExecutor::Execute", 0, 90),
    ]
    summary = trace.summarise(events, {}, steps=1)
    assert summary["milliseconds"]["matrix products"] == pytest.approx(0.03)
    assert summary["launches"] == 1


def test_a_trace_without_operations_is_empty():
    summary = trace.summarise(named(1, "/device:GPU:0", {10: "Stream #20"}), {}, steps=3)
    assert (sum(summary["milliseconds"].values()), summary["launches"], summary["idle_share"]) == (0, 0, 0)


def test_the_latest_trace_of_a_folder_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="wrote no"):
        trace.read(tmp_path)
    for run in ("2026_01_01", "2026_01_02"):
        folder = tmp_path / "plugins" / "profile" / run
        folder.mkdir(parents=True)
        (folder / "host.trace.json.gz").write_bytes(gzip.compress(json.dumps({"traceEvents": [run]}).encode()))
    assert trace.read(tmp_path) == ["2026_01_02"]
