"""Tests of the script that reproduces the paper's tables, with metrics that the tests write."""

import importlib.util
import json
import pathlib

import pytest

from aggpose_jax.config import read_experiment

SIZE = {"Input size": "256×192", "GMACs": "2.50", "Parameters": "1,234,567"}
FILE = pathlib.Path(__file__).parents[1] / "launch" / "tables.py"


@pytest.fixture
def tables(monkeypatch):
    """The script as a module, with networks whose size is not computed and programs that are only recorded."""
    spec = importlib.util.spec_from_file_location("tables", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.commands = []
    monkeypatch.setattr(module, "size", lambda experiment, flags: SIZE)
    monkeypatch.setattr(module, "_run", lambda *command: module.commands.append(command) or True)
    return module


def test_every_row_is_an_experiment_and_starts_from_another_row_or_a_file(tables):
    for row in tables.ROWS.values():
        assert row.start in tables.ROWS or row.start.endswith(".pth") or row.method == "OpenPose", row
        if row.experiment:
            read_experiment(row.experiment)
    assert {name for _, names in tables.TABLES.values() for name in names} == set(tables.ROWS)


def test_published_weights_are_evaluated_and_other_networks_are_trained(tables, tmp_path):
    weights, results = tmp_path / "weights", tmp_path / "results"
    (weights / "openpose").mkdir(parents=True)
    for name in ("pose_hrnet_w48_256x192.pth", "resnet152-b121ed2d.pth"):
        (weights / name).touch()
    made = tables.Tables(weights, results, ("--config.data_dir=data",))
    for name in ("coco_hrnet_w48", "infant_hrnet_w48", "infant_openpose", "coco_simple_baseline"):
        assert made.make(name)
    assert tables.commands == [
        ("evaluate", f"--checkpoint={weights}/pose_hrnet_w48_256x192.pth", "--config=hrnet:w48",
         f"--out={results}/coco_hrnet_w48", "--config.data_dir=data"),
        ("main", "--config=hrnet:w48,infant", f"--config.init_from={weights}/pose_hrnet_w48_256x192.pth",
         "--config.data_dir=data", f"--workdir={results}/infant_hrnet_w48"),
        ("evaluate", f"--checkpoint={results}/infant_hrnet_w48", "--config.data_dir=data"),
        ("evaluate", f"--results={weights}/openpose", "--config=infant_l", f"--out={results}/infant_openpose",
         "--config.data_dir=data"),
        ("main", "--config=simple_baseline", f"--config.init_from={weights}/resnet152-b121ed2d.pth",
         "--config.data_dir=data", f"--workdir={results}/coco_simple_baseline"),
        ("evaluate", f"--checkpoint={results}/coco_simple_baseline", "--config.data_dir=data"),
    ]  # fmt: skip


def test_a_row_whose_files_are_missing_is_named_and_stays_empty(tables, tmp_path, capsys):
    made = tables.Tables(tmp_path, tmp_path, ())
    assert not made.make("coco_hrformer")
    assert not made.make("infant_hrformer")
    assert not tables.commands
    message = capsys.readouterr().err
    assert "coco_hrformer: there is no hrformer_b.pth or hrt_base.pth" in message
    assert "infant_hrformer: there is no coco_hrformer" in message


def test_finished_rows_are_not_repeated_and_their_metrics_stand_beside_the_published_ones(tables, tmp_path, capsys):
    metrics = {"metrics": {"AP": 0.7449, "AR": 0.5}, "openpose": {"metrics": {"AP": 0.25, "AR": 1.0}}}
    for name in ("coco_hrnet_w32", "infant_hrnet_w48"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    made = tables.Tables(tmp_path, tmp_path, ())
    assert made.make("coco_hrnet_w32")
    assert not tables.commands
    made.print()
    text = (tmp_path / "tables.md").read_text()
    assert text == capsys.readouterr().out
    assert (
        "| HRNet-W32 | 256×192 | - | 7.1 | 2.50 | 1,234,567 | 74.5 (74.4) | - (90.5) | - (81.9) | - (70.8) | - (81.0) "
        "| 50.0 (79.8) |" in text
    )
    assert "| HRNet-W48 | 256×192 | 74.5 (94.5) | 50.0 (95.6) | 25.0 | 100.0 |" in text
    assert "| TransPose | 256×192 | HRNet | 21.8 | 2.50 | 1,234,567 | - (75.8) | - | - | - | - | - (80.8) |" in text


def test_debug_variants_train_from_new_parameters_on_synthetic_infants(tables, tmp_path):
    made = tables.Tables(None, tmp_path, ("--config.steps=4",))
    assert made.make("infant_openpose")
    assert made.make("coco_hrnet_w48")
    (tmp_path / "coco_hrnet_w48" / "checkpoints").mkdir(parents=True)
    assert made.make("infant_hrnet_w48")
    (_, config, start, *flags), evaluation, (_, infant, infant_start, *_), _ = tables.commands
    assert (config, start, flags[0]) == ("--config=hrnet:w48,debug", "--config.init_from=", "--config.steps=4")
    assert {"--config.data=synthetic", "--config.keypoint_set=infant_21"} <= set(flags)
    assert evaluation == ("evaluate", f"--checkpoint={tmp_path}/coco_hrnet_w48")
    assert (infant, infant_start) == (
        "--config=hrnet:w48,infant,debug",
        f"--config.init_from={tmp_path}/coco_hrnet_w48",
    )
