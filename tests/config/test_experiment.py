"""Tests of experiment files, their arguments and command-line overrides."""

import re

import pytest
from programs import ROOT

from aggpose_jax.config import change, debug_variant, default_config, read_argument, read_experiment
from aggpose_jax.errors import UserError


def write(path, *lines: str) -> str:
    """Writes an experiment file with these lines between default_config() and the return; returns its path."""
    body = "".join(f"    {line}\n" for line in lines)
    path.write_text(
        "from aggpose_jax.config import debug_variant, default_config, read_argument\n\n\n"
        'def get_config(arg=""):\n    words, config = read_argument(arg, "s", ("a", "b"), "debug"), default_config()\n'
        f'{body}    return debug_variant(config) if "debug" in words else config\n'
    )
    return str(path)


def test_overrides_change_the_values_of_an_experiment(tmp_path):
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


def test_last_of_two_overrides_of_a_key_wins():
    assert change(default_config(), ["seed=1", "seed=2"]).seed == 2


def test_experiment_gets_the_argument_after_the_colon(tmp_path):
    experiment = write(tmp_path / "mine.py")
    assert read_experiment(f"{experiment}:debug").model.name == "aggpose_tiny"
    assert read_experiment(f"{experiment}:debug,s").model.name == "aggpose_tiny"
    with pytest.raises(UserError, match=r"mine\.py, line 5: :debog .*:s, :a, :b, :debug"):
        read_experiment(f"{experiment}:s,debog")


@pytest.mark.parametrize(
    ("argument", "words"),
    [("", set()), ("s", {"s"}), ("debug,s", {"s", "debug"}), ("b,s", {"b", "s"}), ("a,a", {"a"})],
)
def test_argument_is_split_into_words(argument, words):
    assert read_argument(argument, "s", ("a", "b"), "debug") == words


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("x", ":x "),
        ("s,", ": "),
        ("s,b,a", ":s,b,a "),
    ],
)
def test_invalid_argument_raises(argument, message):
    with pytest.raises(UserError, match="^" + re.escape(message)):
        read_argument(argument, "s", ("a", "b"))


def test_debug_variant_changes_the_decoder_of_an_mae_only():
    plain, mae = default_config(), default_config()
    plain.model.name, mae.model.name = "mit_pose_b5", "mae_b5"
    assert debug_variant(plain).model == change(default_config(), ["model.name=mit_pose_tiny"]).model
    assert (debug_variant(mae).model.name, mae.model.decoder_width) == ("mae_tiny", 64)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("training.config", "default_config", "`from aggpose_jax.config import default_config`"),
        ("config", "sized", "'sized' from 'aggpose_jax.config'"),
    ],
)
def test_import_of_a_moved_name_raises_with_a_hint(tmp_path, module, name, message):
    (tmp_path / "old.py").write_text(f"import math\nfrom aggpose_jax.{module} import {name}\n")
    with pytest.raises(UserError, match=r"^[^\n]*old\.py, line 2: " + f".*{re.escape(message)}"):
        read_experiment(str(tmp_path / "old.py"))


def test_missing_library_raises_its_import_error(tmp_path):
    (tmp_path / "old.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError):
        read_experiment(str(tmp_path / "old.py"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learning_rat=1", "--config.learning_rat: "),
        ("model.nam=x", "--config.model.nam: "),
        ("modle.name=x", "--config.modle: "),
        ("seed.name=x", "--config.seed: "),
        ("steps=many", "--config.steps: 'many' "),
        ("model=aggpose_s", "--config.model: "),
        ("steps", "--config.steps: "),
        ("decoder=dork", "decoder: 'dork' "),
    ],
)
def test_invalid_override_raises(override, message):
    with pytest.raises(UserError, match="^" + re.escape(message)) as raised:
        change(default_config(), [override])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config.learning_rat = 1", r"line 6: learning_rat: .*\blearning_rate\b"),
        ("config.augmentaton.flip = 0.0", r"line 6: augmentaton: .*\baugmentation\b"),
        ("config.augmentation.filp = 0.0", r"line 6: filp: .*\bflip\b"),
        ("config.epochs = '3'", r"line 6: epochs: '3' .*number.*\b210\.0\b"),
        ("return None", r"mine\.py: get_config .*NoneType.*default_config\(\)"),
    ],
)
def test_invalid_line_of_an_experiment_is_reported_with_its_number(tmp_path, line, message):
    experiment = write(tmp_path / "mine.py", line)
    with pytest.raises(UserError, match=re.compile(message)) as raised:
        read_experiment(experiment)
    assert str(raised.value).startswith(experiment)


def test_bug_in_an_experiment_is_not_a_user_error(tmp_path):
    with pytest.raises(AttributeError, match="'int' object has no attribute 'nonsense'"):
        read_experiment(write(tmp_path / "mine.py", "config.seed.nonsense"))
    with pytest.raises(ZeroDivisionError):
        read_experiment(write(tmp_path / "mine.py", "config.seed = 1 // 0"))


def test_packaged_experiments_have_names(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read_experiment("synthetic:debug") == read_experiment(str(ROOT / "configs" / "synthetic.py:debug"))
    (tmp_path / "synthetic").mkdir()  # a folder of that name does not hide the experiment
    assert read_experiment("synthetic").model.name == "aggpose_demo"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "--config: .*--config synthetic"),
        ("absent.py", r"^--config: absent\.py .*aggpose_jax/configs .*/configs\. .*infant_l"),
        ("absent.py:debug", r"^--config: absent\.py "),
        ("infant_x", r"^--config: infant_x .*infant_l\?"),
        ("synthetical.py", r"^--config: synthetical\.py .*synthetic\?"),
        ("aggpose_jax", "^--config: aggpose_jax "),
        ("README.md", r"^README\.md: .*Python file"),
        ("aggpose_jax/errors.py", r"^aggpose_jax/errors\.py: .*get_config"),
    ],
)
def test_file_that_is_not_an_experiment_raises(monkeypatch, name, message):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=re.compile(message)):
        read_experiment(name)


def test_a_leading_tilde_of_a_path_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(
        "from aggpose_jax.config import default_config\n"
        "def get_config(arg=''):\n    config = default_config()\n    config.init_from = '~/run'\n    return config\n"
    )
    config = read_experiment("~/mine.py", ["data_dir=~/data"])
    assert (config.init_from, config.data_dir) == (f"{tmp_path}/run", f"{tmp_path}/data")
