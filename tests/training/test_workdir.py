"""Workdirs and the experiments to which they belong."""

import json

import pytest

from aggpose_jax.config import change, default_config, flat_keys, load_config
from aggpose_jax.errors import UserError
from aggpose_jax.training.workdir import open_workdir


def test_a_workdir_refuses_another_experiment(tmp_path):
    open_workdir(tmp_path / "runs/one", change(default_config(), ["seed=1", "model.drop_path=0.2"]))
    before = (tmp_path / "runs/one/config.json").read_bytes()
    with pytest.raises(UserError) as raised:
        open_workdir(tmp_path / "runs/one", change(default_config(), ["seed=2", "steps=7", "model.drop_path=0.3"]))
    differences = "model.drop_path 0.2 in config.json, 0.3 in this command; seed 1 in config.json, 2 in this command"
    assert f"({differences})" in str(raised.value)
    assert (tmp_path / "runs/one/config.json").read_bytes() == before


def test_changed_values_of_changeable_keys_are_stored(tmp_path):
    open_workdir(tmp_path, default_config())
    changes = ["steps=9", "eval_split=test", "log_steps=1", "data_dir=elsewhere", "threads=9", "mesh.fsdp=2"]
    changes += ["nms_threshold=0", "baselines=True", "detections=found.json", "epochs=3"]
    config = change(default_config(), changes)
    open_workdir(tmp_path, config)
    assert load_config(tmp_path / "config.json").to_dict() == config.to_dict()


@pytest.mark.parametrize("folder", ["file/run", "file"])
def test_a_workdir_that_cannot_be_created_is_an_error(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file.*: cannot write \(.*\).* --workdir"):
        open_workdir(tmp_path / folder, default_config())


def test_a_key_either_may_change_on_resume_or_defines_the_experiment(tmp_path):
    keys = flat_keys()
    open_workdir(tmp_path, default_config())
    assert {name for name in keys if keys[name].may_change} > {
        "steps",
        "data_dir",
        "model.remat",
        "mesh.fsdp",
        "decoder",
    }
    for name in ("steps", "model.unroll", "mesh.fsdp", "synthetic_eval", "accumulate"):
        open_workdir(tmp_path, change(default_config(), [f"{name}=5"]))
    for name in ("model.decoder_depth", "augmentation.scale", "synthetic_train"):
        with pytest.raises(UserError, match=rf"\({name} .*5.*\)"):
            open_workdir(tmp_path, change(default_config(), [f"{name}=5"]))


def test_the_parts_of_a_batch_may_change_unless_each_has_statistics_of_its_own(tmp_path):
    assert open_workdir(tmp_path, default_config()) is None
    changed = change(default_config(), ["accumulate=4"])
    with pytest.raises(UserError, match=r"\(accumulate 1 in config.json, 4 in this command\)"):
        open_workdir(tmp_path, changed, has_batch_statistics=True)
    before = open_workdir(tmp_path, changed)
    assert before is not None
    assert (before.accumulate, load_config(tmp_path / "config.json").accumulate) == (1, 4)


def test_a_run_with_unknown_keys_in_its_config_json_is_resumed(tmp_path):
    content = default_config().to_dict()
    content["mesh"]["data"], content["gears"], content["model"]["decoder_width"] = -1, 5, 64
    (tmp_path / "config.json").write_text(json.dumps(content))
    open_workdir(tmp_path, default_config())
    assert json.loads((tmp_path / "config.json").read_text()).keys() == default_config().to_dict().keys()
