"""Log lines, metrics, pictures and tables of a run."""

import json

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aggpose_jax.training.reporting import Progress, Reporter, parameter_table, table

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def events(workdir) -> EventAccumulator:
    accumulator = EventAccumulator(str(workdir / "tensorboard"))
    return accumulator.Reload()


def lines(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_text_and_pictures_are_read_back_from_files_and_tensorboard(tmp_path):
    reporter = Reporter(tmp_path, "AP")
    reporter.text("config", "seed: 3")
    reporter.log_metrics(7, {"train/loss": jnp.float32(0.25), "eval/AP": 0.5})
    reporter.picture(7, "batch", PICTURE)
    reporter.close()

    assert lines(tmp_path) == [{"step": 7, "train/loss": 0.25, "eval/AP": 0.5}]
    read = events(tmp_path)
    assert [(e.step, e.value) for e in read.Scalars("train/loss")] == [(7, 0.25)]
    assert [(e.step, e.value) for e in read.Scalars("eval/AP")] == [(7, 0.5)]
    assert read.Images("batch")[0].step == 7
    assert b"seed: 3" in read.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    written = cv2.imread(str(tmp_path / "pictures" / "batch_7.png"))
    np.testing.assert_array_equal(written[..., ::-1], PICTURE)


def test_curves_contain_the_steps_before_a_restart(tmp_path):
    for step in (1, 2):
        reporter = Reporter(tmp_path, "AP")
        reporter.log_metrics(step, {"train/loss": 1 / step})
        reporter.close()
    reporter.curves()
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]
    assert cv2.imread(str(tmp_path / "curves.png")).shape[2] == 3


@pytest.fixture
def progress(tmp_path):
    """Returns a function that runs steps 3 to 8 of a run and returns its metrics and its output."""

    def run(capsys) -> tuple[list[dict], str]:
        reporter = Reporter(tmp_path, "AP")
        bar = Progress(reporter, start=2, total=8, batch_size=4, log_steps=3, schedule=lambda taken: taken / 100)
        for step in range(3, 9):
            assert bar.wait(lambda step=step: step) == step
            bar.step(step, {"loss": jnp.float32(step), "PCK": jnp.float32(0.5)})
        bar.close()
        reporter.close()
        return lines(tmp_path), capsys.readouterr().out

    return run


def test_progress_reports_means_since_the_last_line(progress, capsys):
    metrics, output = progress(capsys)
    assert [line["step"] for line in metrics] == [3, 6]
    assert [line["train/loss"] for line in metrics] == [3.0, (4 + 5 + 6) / 3]
    assert [line["train/learning_rate"] for line in metrics] == [0.02, 0.05]
    assert all(0 <= line["train/waiting_for_data"] <= 1 and line["train/images_per_second"] > 0 for line in metrics)
    assert "step 6/8: " in output
    for part in ("loss 5", "PCK 0.5", "images/s", "data wait", "0:00:0"):
        assert part in output


def test_output_to_a_file_has_lines_without_carriage_returns(progress, capsys):
    _, output = progress(capsys)
    assert "\r" not in output
    assert len(output.splitlines()) == 2


def test_table_aligns_metrics_and_leaves_missing_ones_blank():
    text = table({"network": {"AP": 0.5, "AR": 1.0}, "mean": {"AR": 0.25}}, ["AP", "AR"])
    assert text.splitlines() == [
        "              AP       AR",
        "network    0.500    1.000",
        "mean                0.250",
    ]


def test_parameter_table_counts_decayed_and_frozen_parameters():
    params = {"a": {"w": jnp.zeros((3, 4))}, "b": {"w": jnp.zeros(5)}}
    text = parameter_table(params, {"a": {"w": True}, "b": {"w": True}}, {"a": {"w": True}, "b": {"w": False}})
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}
    assert rows == {"a": ["12", "0", "12"], "b": ["5", "5", "0"], "all": ["17", "5", "12"]}
