"""A test that runs the staged recipe from start to end, with a kill and a restart in its second stage."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
from flax.traverse_util import flatten_dict
from programs import ROOT, SMALL, environment

from aggpose_jax.config import load_config
from aggpose_jax.estimation.checkpoints import last_finished
from aggpose_jax.estimation.restore import read_weights
from aggpose_jax.training.optimizer import paths_matching
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import transfer

# The other stages differ from one of these in numbers only (see test_configs.py), and each would compile for a minute.
STAGES = ("mit", "join", "infant")
# An AggPose whose layers are scanned one by one compiles faster.
OPTIONS = (*SMALL, "--config.checkpoint_steps=2", "--config.steps=4", "--config.model.unroll=1")


def start_recipe(workdir) -> subprocess.Popen:
    """Starts the debug variant of the recipe in a process group of its own, so that the group can be killed."""
    command = ["launch/recipe_infant_l.sh", str(workdir), ":debug", *OPTIONS]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def parameters(workdir) -> Weights:
    """Returns the weights of the best checkpoint of a run."""
    return read_weights(workdir)


def flat(tree: dict) -> dict:
    """Returns the leaves of a nested dict by their paths, joined with "/"."""
    return flatten_dict(tree, sep="/")


@pytest.mark.slow
def test_every_stage_trains_all_but_its_frozen_parameters_and_a_killed_recipe_resumes(tmp_path):
    for skipped in ("level1", "level2", "level3", "level4", "coco"):
        (tmp_path / skipped).symlink_to("join")
    recipe = start_recipe(tmp_path)
    while last_finished(tmp_path / "join") is None:
        assert recipe.poll() is None, recipe.communicate()[0]
        time.sleep(0.1)  # Polling without a pause would take CPU time from the recipe.
    os.killpg(recipe.pid, signal.SIGKILL)
    recipe.communicate()
    finished = [stage for stage in STAGES if (tmp_path / stage / "finished").exists()]
    assert finished == ["mit"]

    recipe = start_recipe(tmp_path)
    output, _ = recipe.communicate()
    assert recipe.returncode == 0, output
    assert [line.split()[1].rstrip(",") for line in output.splitlines() if line.startswith("== ")] == list(STAGES[1:])
    assert output.count("from the checkpoint of step") == 1

    before = parameters(tmp_path / "mit")
    for stage in STAGES[1:]:
        after, config = parameters(tmp_path / stage), load_config(tmp_path / stage / "config.json")
        previous = tmp_path / STAGES[STAGES.index(stage) - 1]
        assert pathlib.Path(config.init_from).resolve() == previous.resolve()
        start, report = transfer(after, before)  # New modules keep the values of `after` and are skipped below.
        frozen = flat(paths_matching(after.variables["params"], config.freeze))
        assert any(frozen.values()) == (stage == "join")
        for path, leaf in flat(after.variables).items():
            if report.origins[path]:
                assert (leaf.tobytes() == flat(start)[path].tobytes()) == frozen[path.removeprefix("params/")], (
                    stage,
                    path,
                )
        before = after
