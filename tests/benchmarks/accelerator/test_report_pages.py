"""What the page shows of a training step, of both trainings, and of PyTorch; numbers are set by hand."""

import pytest

from aggpose_jax.benchmarks.accelerator import experiments, program, roofs, torch_step, training, vectors
from aggpose_jax.benchmarks.accelerator.markdown import size, table


def test_tables_align_numbers_and_keep_their_columns():
    assert table(("a", "b"), [("x|y", None)]) == ["| a | b |", "|---|---:|", "| x/y |  |"]
    assert table(("a", "b"), [], numbers=False)[1] == "|---|---|"
    assert [size(one) for one in (None, 2.5e6, 3e9)] == [None, "2.50 MB", "3.00 GB"]


def test_the_limits_of_the_device():
    lines = roofs.describe({"matrix": {"float32": 50e12, "bfloat16": 600e12}, "copy": 3.1e12})
    assert lines[2:] == [
        "| matrix products, float32 | 50.00 TFLOP/s |",
        "| matrix products, bfloat16 | 600.00 TFLOP/s |",
        "| copy, bytes read and written | 3100 GB/s |",
    ]


def test_differences_above_the_tolerance_stand_out():
    row = {"network": "aggpose_l", "dtype": "float32", "largest_difference": 0.002}
    rows = [{**row, "relative_error": 2e-4, "holds": False}, {**row, "relative_error": 2e-6, "holds": True}]
    *_, wrong, right = vectors.describe({"rows": rows})
    assert wrong == "| aggpose_l, float32 | 2.0e-04 | 1e-05 | 2.0e-03 | **no** |"
    assert right.endswith("| yes |")


STEP = {
    "network": "aggpose_l", "dtype": "bfloat16", "batch": 32, "median_seconds": 0.1, "images_per_second": 320.0,
    "operations": 3e12, "bytes": 4e10, "memory": 2e10, "peak_memory": None, "compile_seconds": 30.0, "copies": 5,
    "copied_bytes": 1e8,
}  # fmt: skip


def test_a_step_without_limits_and_without_a_trace():
    lines = program.describe(STEP)
    assert "| time of a step | 100.0 ms |" in lines
    assert "| their share of the matrix rate |  |" in lines
    assert "| highest memory of the process so far | not reported |" in lines


def test_a_step_with_limits_and_a_trace():
    trace = {"milliseconds": {"matrix products": 30.0, "other": 10.0}, "launches": 1234.0, "idle_share": 0.25}
    text = "\n".join(program.describe({**STEP, "matrix_share": 0.4, "copy_share": 0.2, "trace": trace}))
    assert "| their share of the matrix rate | 40 % |" in text
    assert "1234 operations a step; the device was idle for 25 %" in text
    assert "| matrix products | 30.00 | 75 % |" in text


def test_both_trainings():
    row = {"images_per_second": 900.4, "loss": 0.00123, "median_error": 2.345, "PCK": 0.876}
    rows = [{"dtype": dtype, **row} for dtype in training.DTYPES]
    lines = training.describe({"network": "aggpose_demo", "steps": 50, "crops": 9, "held_out": 3, "rows": rows})
    assert lines[-2:] == [f"| {dtype} | 900 | 1.23e-03 | 2.35 | 88 % |" for dtype in ("bfloat16", "float32")]


def test_pytorch_beside_ours():
    slower = {"median": 2.0, "low": 1.9, "high": 2.25}
    rows = [
        {"name": "aggpose_jax", "times": [0.1, 0.2, 0.1]},
        {"name": "PyTorch", "times": [0.2, 0.2, 0.3], "slower": slower},
        {"name": "PyTorch, torch.compile", "note": "out of memory"},
    ]
    lines = torch_step.describe({"network": "aggpose_l", "batch": 32, "rows": rows})
    assert lines[-3:] == [
        "| aggpose_jax | 100.0 | 320.0 |  |",
        "| PyTorch | 200.0 | 160.0 | 2.00 (1.90–2.25) |",
        "| PyTorch, torch.compile | out of memory |  |  |",
    ]


def test_a_block_is_interrupted_when_its_time_is_over():
    def compile_forever():
        with torch_step._interrupted_after(0):
            while True:
                pass

    with pytest.raises(TimeoutError, match="no time"):
        compile_forever()


@pytest.mark.extras
def test_a_step_of_pytorch_changes_the_weights(torch):
    trainer = experiments.make_trainer(experiments.INFANT_L, 100, "bfloat16", **torch_step.TINY)
    step = torch_step.TorchStep(trainer, torch.device("cpu"), compiled=False)
    before = [parameter.detach().clone() for parameter in step._twin.parameters()]
    step()
    after = list(step._twin.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(before) / 2
