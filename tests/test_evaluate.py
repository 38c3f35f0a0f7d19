"""The program `aggpose evaluate`: its metrics, and its errors."""

import jax
import numpy as np
import pytest
from programs import run
from tiny import write_experiment, write_run

from aggpose_jax.config import debug_variant, default_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.evaluate import evaluate
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task
from aggpose_jax.weights import weight_files
from aggpose_jax.weights.state_dicts import write_state_dict


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The folder of a run of a tiny AggPose on synthetic infants, whose parameters are zero."""
    folder = tmp_path_factory.mktemp("run")
    config = debug_variant(default_config())
    config.data, config.keypoint_set = "synthetic", "infant_21"
    save_config(config, folder / "config.json")
    shapes = jax.eval_shape(make_task(config).init, jax.random.key(0))
    with checkpoint.open_manager(folder) as manager:
        checkpoint.save(manager, 3, jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes))
    return folder


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.name=mit_pose_tiny"], r"run\d*: .*aggpose_tiny"),
        (["keypoint_set=coco_17", "data=coco"], "infant_21.*coco_17"),
        (["keypoint_set=coco_17"], "infant_21.*coco_17"),
        (["keypoint_set=no.json"], "keypoint_set: no.json .*coco_17.*infant_21"),
        (["input_size=100,96"], r"input_size: \(100, 96\) .*32"),
        (["decoder=dork"], "decoder: 'dork' .*dark, quarter, quarter_each_axis, argmax"),
        (["task=mae", "model.name=mae_tiny"], "task: mae"),
        (["mesh.fsdp=3"], r"mesh\.fsdp: 3"),
    ],
)
def test_overrides_that_do_not_fit_the_run_are_one_line(workdir, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        evaluate(workdir, None, overrides, "best")
    assert "\n" not in str(raised.value)


def test_an_unknown_key_is_one_line_and_nothing_is_written(workdir, tmp_path):
    ended = run("evaluate", f"--checkpoint={workdir}", "--config.flip_tst=False", f"--out={tmp_path / 'out'}")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: --config.flip_tst: ")
    assert "flip_test" in line
    assert ended.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_missing_unit_is_one_line_before_the_network_runs(workdir, monkeypatch):
    monkeypatch.setattr("aggpose_jax.training.pose_task.PoseEvaluator.evaluate", None)
    with pytest.raises(UserError, match="infant_id: missing for 200 of 200 images") as raised:
        evaluate(workdir, None, ["synthetic_eval=200"], "best", "infant_id")
    assert "\n" not in str(raised.value)


def test_a_weight_file_needs_its_experiment(tmp_path):
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(UserError, match=r"weights.safetensors: .*--config"):
        evaluate(tmp_path / "weights.safetensors", None, [], "best")


def test_a_weight_file_has_the_metrics_of_its_run(tmp_path):
    task, variables = write_run(tmp_path)
    file = tmp_path / "weights.safetensors"
    weight_files.write(file, write_state_dict(task.model, variables))
    experiment = write_experiment(tmp_path)
    expected = evaluate(tmp_path, None, [], "best").evaluation
    step, found, _ = evaluate(file, str(experiment), [], "best")
    assert step is None
    assert found.metrics == pytest.approx(expected.metrics, nan_ok=True)
    assert expected.metrics["OKS_p50"] > 0
    assert len(expected.openpose.keypoints) == 16
    assert found.openpose.metrics == pytest.approx(expected.openpose.metrics, nan_ok=True)
    assert expected.openpose.metrics["OKS_p50"] != expected.metrics["OKS_p50"]
