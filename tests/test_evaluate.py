"""What the evaluating program says to a mistake."""

import jax
import numpy as np
import pytest
from programs import run

from aggpose_jax.config import debug_variant, default_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.evaluate import evaluate
from aggpose_jax.training import checkpoint
from aggpose_jax.training.tasks import make_task


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
        (["model.name=mit_pose_tiny"], "its checkpoint is of another network: "),
        (["keypoint_set=coco_17", "data=coco"], r"another network: .* head/fc2/bias \(\(21,\), expected \(17,\)\)"),
        (["keypoint_set=coco_17"], "keypoint_set: coco_17, but synthetic infants have infant_21"),
        (["keypoint_set=no.json"], "keypoint_set: no.json is neither coco_17 nor infant_21 nor a file"),
        (["input_size=100,96"], r"input_size: \(100, 96\) must divide by 32"),
        (["decoder=dork"], "decoder: 'dork' is unknown; known are dark, quarter, argmax"),
        (["task=mae", "model.name=mae_tiny"], "task: mae finds no keypoints; give the run or configuration of a pose"),
        (["mesh.fsdp=3"], r"mesh: data × fsdp = .* does not cover"),
    ],
)
def test_a_run_that_is_not_what_the_command_line_says(workdir, overrides, message):
    with pytest.raises(UserError, match=message) as raised:
        evaluate(workdir, overrides, "best")
    assert "\n" not in str(raised.value)


def test_a_mistake_is_one_line_and_nothing_is_written(workdir, tmp_path):
    ended = run("evaluate", f"--checkpoint={workdir}", "--config.flip_tst=False", f"--out={tmp_path / 'out'}")
    assert ended.returncode == 1
    assert ended.stderr == "error: --config.flip_tst: no such key; the nearest is flip_test\n"
    assert ended.stdout == ""
    assert not (tmp_path / "out").exists()
