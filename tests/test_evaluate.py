"""What the evaluating program says to a mistake."""

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
    """A run of a tiny AggPose on synthetic infants; its parameters are zero."""
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
        (["model.name=mit_pose_tiny"], "none has a place in this network"),
        (["keypoint_set=coco_17", "data=coco"], "finds infant_21, not coco_17"),
        (["keypoint_set=coco_17"], "finds infant_21, not coco_17"),
        (["keypoint_set=no.json"], "keypoint_set: no.json is neither coco_17 nor infant_21 nor a file"),
        (["input_size=100,96"], r"input_size: \(100, 96\) must divide by 32"),
        (["decoder=dork"], "decoder: 'dork' is unknown; known are dark, quarter, argmax"),
        (["task=mae", "model.name=mae_tiny"], "task: mae finds no keypoints; give the run or configuration of a pose"),
        (["mesh.fsdp=3"], r"mesh\.fsdp: 3 does not divide the number of devices"),
    ],
)
def test_a_run_that_is_not_what_the_command_line_says(workdir, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        evaluate(workdir, None, overrides, "best")
    assert "\n" not in str(raised.value)


def test_a_mistake_is_one_line_and_nothing_is_written(workdir, tmp_path):
    ended = run("evaluate", f"--checkpoint={workdir}", "--config.flip_tst=False", f"--out={tmp_path / 'out'}")
    assert ended.returncode == 1
    assert ended.stderr == "error: --config.flip_tst: no such key; the nearest is flip_test\n"
    assert ended.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_weight_file_needs_its_experiment(tmp_path):
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(UserError, match=r"weights.safetensors: is a weight file; give --config"):
        evaluate(tmp_path / "weights.safetensors", None, [], "best")


def test_a_weight_file_has_the_metrics_of_its_run(tmp_path):
    task, variables = write_run(tmp_path)
    file = tmp_path / "weights.safetensors"
    weight_files.write(file, write_state_dict(task.model, variables))
    experiment = write_experiment(tmp_path)
    _, expected = evaluate(tmp_path, None, [], "best")
    step, found = evaluate(file, str(experiment), [], "best")
    assert step is None
    assert found.metrics == pytest.approx(expected.metrics, nan_ok=True)
    assert expected.metrics["OKS_p50"] > 0
