"""Experiments, their arguments, and what the command line changes of them."""

import re

import pytest

from aggpose_jax.config import change, debug_variant, default_config, read_argument, read_experiment
from aggpose_jax.errors import UserError


def write(path, *lines: str) -> str:
    """An experiment with these lines between the default and its return."""
    body = "".join(f"    {line}\n" for line in lines)
    path.write_text(
        "from aggpose_jax.config import debug_variant, default_config, read_argument\n\n\n"
        'def get_config(arg=""):\n    words, config = read_argument(arg, "s", ("a", "b"), "debug"), default_config()\n'
        f'{body}    return debug_variant(config) if "debug" in words else config\n'
    )
    return str(path)


def test_an_experiment_and_what_the_command_line_changes(tmp_path):
    experiment = write(tmp_path / "mine.py", "config.batch_size = 12", "config.seed = 3")
    overrides = [
        "batch_size=16", "learning_rate=1", "flip_test=false", "input_size=64,32", "freeze=('head/.*',)",
        "data_dir=12", "model.drop_path=0.5", "mesh.fsdp=2", "warmup_epochs=2e-1",
    ]  # fmt: skip
    config = read_experiment(experiment, overrides)
    assert (config.seed, config.batch_size, config.learning_rate, config.flip_test) == (3, 16, 1.0, False)
    assert (config.input_size, config.freeze, config.data_dir) == ((64, 32), ("head/.*",), "12")
    assert (config.model.drop_path, config.mesh.fsdp, config.warmup_epochs) == (0.5, 2, 0.2)
    assert config.is_locked


def test_the_last_of_two_changes_counts():
    assert change(default_config(), ["seed=1", "seed=2"]).seed == 2


def test_an_argument_of_an_experiment(tmp_path):
    experiment = write(tmp_path / "mine.py")
    assert read_experiment(f"{experiment}:debug").model.name == "aggpose_tiny"
    assert read_experiment(f"{experiment}:debug,s").model.name == "aggpose_tiny"
    with pytest.raises(UserError, match=r"mine.py, line 5: :debog is unknown; known are :s, :a, :b, :debug"):
        read_experiment(f"{experiment}:s,debog")


@pytest.mark.parametrize(
    ("argument", "words"),
    [("", set()), ("s", {"s"}), ("debug,s", {"s", "debug"}), ("b,s", {"b", "s"}), ("a,a", {"a"})],
)
def test_words_of_an_argument(argument, words):
    assert read_argument(argument, "s", ("a", "b"), "debug") == words


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("x", ":x is unknown; known are :s, :a, :b"),
        ("s,", ": is unknown; known are :s, :a, :b"),
        ("s,b,a", ":s,b,a has more than one of a, b; give one"),
    ],
)
def test_a_wrong_argument(argument, message):
    with pytest.raises(UserError, match="^" + re.escape(message)):
        read_argument(argument, "s", ("a", "b"))


def test_only_the_debug_variant_of_a_mae_has_a_small_decoder():
    plain, mae = default_config(), default_config()
    plain.model.name, mae.model.name = "mit_pose_b5", "mae_b5"
    assert debug_variant(plain).model == change(default_config(), ["model.name=mit_pose_tiny"]).model
    assert (debug_variant(mae).model.name, mae.model.decoder_width) == ("mae_tiny", 64)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("training.config", "default_config", "write `from aggpose_jax.config import default_config`; CHANGELOG.md"),
        ("config", "sized", "cannot import name 'sized' from 'aggpose_jax.config'; CHANGELOG.md lists what moved"),
    ],
)
def test_an_experiment_of_an_earlier_version_is_told_what_moved(tmp_path, module, name, message):
    (tmp_path / "old.py").write_text(f"import math\nfrom aggpose_jax.{module} import {name}\n")
    with pytest.raises(UserError, match=r"^[^\n]*old\.py, line 2: " + f".*{re.escape(message)}"):
        read_experiment(str(tmp_path / "old.py"))


def test_a_missing_library_of_an_experiment_keeps_its_traceback(tmp_path):
    (tmp_path / "old.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError):
        read_experiment(str(tmp_path / "old.py"))


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
