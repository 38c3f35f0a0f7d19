"""Experiments, what the command line changes of them, and workdirs that hold another."""

import re

import pytest

from aggpose_jax.config import change, default_config, load_config, read_experiment
from aggpose_jax.errors import UserError
from aggpose_jax.training.workdir import open_workdir


def write(path, *lines: str) -> str:
    """An experiment with these lines between the default and its return."""
    body = "".join(f"    {line}\n" for line in lines)
    path.write_text(
        "from aggpose_jax.config import default_config, sized\n\n\n"
        f'def get_config(arg=""):\n    config = default_config()\n{body}    return sized(config, arg)\n'
    )
    return str(path)


def test_an_experiment_and_what_the_command_line_changes(tmp_path):
    experiment = write(tmp_path / "mine.py", "config.batch_size = 12", "config.seed = 3")
    overrides = [
        "batch_size=16", "learning_rate=1", "flip_test=false", "input_size=64,32", "freeze=('head/.*',)",
        "data_dir=12", "model.drop_path=0.5", "mesh.data=-1", "warmup_epochs=2e-1",
    ]  # fmt: skip
    config = read_experiment(experiment, overrides)
    assert (config.seed, config.batch_size, config.learning_rate, config.flip_test) == (3, 16, 1.0, False)
    assert (config.input_size, config.freeze, config.data_dir) == ((64, 32), ("head/.*",), "12")
    assert (config.model.drop_path, config.mesh.data, config.warmup_epochs) == (0.5, -1, 0.2)
    assert config.is_locked


def test_the_last_of_two_changes_counts():
    assert change(default_config(), ["seed=1", "seed=2"]).seed == 2


def test_an_argument_of_an_experiment(tmp_path):
    experiment = write(tmp_path / "mine.py")
    assert read_experiment(f"{experiment}:debug").model.name == "aggpose_tiny"
    with pytest.raises(UserError, match=":debog is unknown; an experiment has no argument but :debug"):
        read_experiment(f"{experiment}:debog")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rat=1", "--config.learning_rat: no such key; the nearest is learning_rate"),
        ("model.nam=x", "--config.model.nam: no such key; the nearest is name"),
        ("modle.name=x", "--config.modle: no such key; the nearest is model"),
        ("seed.name=x", "--config.seed: is one value and has no key name; set it as --config.seed=VALUE"),
        ("steps=many", "--config.steps: 'many' is not a whole number; give one, such as 0"),
        ("model=aggpose_s", "--config.model: has keys of its own; set one of them, such as model."),
        ("steps", "--config.steps: has no value; write --config.steps=VALUE"),
        ("decoder=dork", "decoder: 'dork' is unknown"),
    ],
)
def test_a_wrong_change(override, message):
    with pytest.raises(UserError, match="^" + re.escape(message)) as raised:
        change(default_config(), [override])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config.learning_rat = 1", "line 6: learning_rat: no such key; the nearest is learning_rate"),
        ("config.augmentaton.flip = 0.0", "line 6: augmentaton: no such key; the nearest is augmentation"),
        ("config.augmentation.filp = 0.0", "line 6: filp: no such key; the nearest is flip"),
        ("config.epochs = '3'", "line 6: epochs: '3' is not a number; give one, such as 210.0"),
        ("return None", "mine.py: get_config returns a NoneType; return what default_config() gave"),
    ],
)
def test_a_wrong_line_of_an_experiment(tmp_path, line, message):
    experiment = write(tmp_path / "mine.py", line)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read_experiment(experiment)
    assert str(raised.value).startswith(experiment)


def test_a_defect_of_an_experiment_is_no_mistake_of_a_user(tmp_path):
    with pytest.raises(AttributeError, match="'int' object has no attribute 'nonsense'"):
        read_experiment(write(tmp_path / "mine.py", "config.seed.nonsense"))
    with pytest.raises(ZeroDivisionError):
        read_experiment(write(tmp_path / "mine.py", "config.seed = 1 // 0"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "--config: give an experiment, such as --config configs/synthetic.py"),
        ("absent.py", "absent.py: is no Python file; the experiments are in configs/"),
        ("absent.py:debug", "absent.py: is no Python file"),
        ("configs", "configs: is no Python file"),
        ("aggpose_jax/errors.py", "aggpose_jax/errors.py: has no function get_config; see configs/synthetic.py"),
    ],
)
def test_no_experiment(name, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_experiment(name)


def test_a_workdir_stays_with_its_experiment(tmp_path):
    open_workdir(tmp_path / "runs/one", change(default_config(), ["seed=1", "model.drop_path=0.2"]))
    before = (tmp_path / "runs/one/config.json").read_bytes()
    with pytest.raises(UserError) as raised:
        open_workdir(tmp_path / "runs/one", change(default_config(), ["seed=2", "steps=7", "model.drop_path=0.3"]))
    differences = "model.drop_path 0.2 there, 0.3 here; seed 1 there, 2 here"
    assert f"one: holds another experiment ({differences}); give another --workdir" in str(raised.value)
    assert (tmp_path / "runs/one/config.json").read_bytes() == before


def test_what_may_change_is_stored_as_it_is_now(tmp_path):
    open_workdir(tmp_path, default_config())
    changes = ["steps=9", "eval_split=test", "log_steps=1", "data_dir=elsewhere", "threads=9", "mesh.fsdp=2"]
    changes += ["nms_threshold=0", "baselines=True", "detections=found.json", "epochs=3"]
    config = change(default_config(), changes)
    open_workdir(tmp_path, config)
    assert load_config(tmp_path / "config.json").to_dict() == config.to_dict()


@pytest.mark.parametrize("folder", ["file/run", "file"])
def test_a_workdir_that_cannot_be_written(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written \(.*\); give another --workdir"):
        open_workdir(tmp_path / folder, default_config())
