"""Configurations and the experiments of configs/."""

import importlib.util
import json
import pathlib
import re

import ml_collections
import pytest
from flax.traverse_util import flatten_dict
from trees import blank

from aggpose_jax import networks
from aggpose_jax.config.schema import (
    AT_MOST_ONE,
    CHANGEABLE,
    CHOICES,
    OF_TWO,
    PATTERNS,
    POSITIVE,
    check,
    default_config,
    describe,
    load_config,
    save_config,
)
from aggpose_jax.data.tfds import BUILDERS
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.training.optimizer import paths_matching
from aggpose_jax.training.tasks import make_task

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
STAGES = ("mit", "join", "level1", "level2", "level3", "level4", "coco", "infant")  # of the recipe
EXPERIMENTS = sorted(path.stem for path in CONFIGS.glob("*.py"))


def experiment(name: str, argument: str | None = None) -> ml_collections.ConfigDict:
    spec = importlib.util.spec_from_file_location(f"configs_{name}", CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config() if argument is None else module.get_config(argument)


@pytest.mark.parametrize("argument", [None, "debug"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_makes_a_task_and_survives_json(name, argument, tmp_path):
    config = experiment(name, argument)
    assert config.is_locked
    assert config.keys() == default_config().keys()
    task = make_task(config)
    assert config.task == "mae" or len(task.keypoint_set) == task.model.keypoints
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json").to_dict() == config.to_dict()
    json.loads((tmp_path / "config.json").read_text())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_debug_is_the_same_experiment_made_small(name):
    whole, debug = experiment(name), experiment(name, "debug")
    assert debug.model.name.endswith("_tiny")
    assert debug.model.name in networks.NAMES
    assert debug.model.name.startswith(whole.model.name.rsplit("_", 1)[0])
    assert 0 < debug.steps <= 20
    assert debug.batch_size <= 8
    same = {"data", "keypoint_set", "learning_rate", "schedule", "freeze", "decoder", "nms_threshold"}
    for key in same - ({"data"} if name == "recipe_infant_l" else set()):  # its stages have one data set to be small on
        assert debug[key] == whole[key]


def test_stages_of_the_recipe():
    stages = {stage: experiment("recipe_infant_l", stage) for stage in STAGES}
    assert {stage: (c.epochs, c.decay_epochs, c.learning_rate) for stage, c in stages.items()} == {
        "mit": (210, (170, 200), 1e-3),
        "join": (20, (), 1e-3),
        **{f"level{i}": (10, (), 1e-4) for i in range(1, 5)},
        "coco": (60, (30, 50), 1e-4),
        "infant": (100, (50, 80), 1e-4),
    }
    networks = {stage: (c.model.name, c.keypoint_set) for stage, c in stages.items()}
    assert networks == {
        stage: ("mit_pose_b5" if stage == "mit" else "aggpose_l", "infant_21" if stage == "infant" else "coco_17")
        for stage in STAGES
    }
    frozen = {stage: frozen_modules(c) for stage, c in stages.items()}
    streams = {i: {f"stage{i}_{column}" for column in range(i, 5)} for i in range(1, 5)}
    assert frozen == {
        "mit": set(),
        "join": {"embed1"}.union(*streams.values()),
        **{f"level{i}": streams[i] for i in range(1, 5)},
        "coco": set(),
        "infant": set(),
    }
    with pytest.raises(UserError, match=":levels is unknown; the stages are mit, join"):
        experiment("recipe_infant_l", "levels")


def frozen_modules(config: ml_collections.ConfigDict) -> set[str]:
    """Modules of which any parameter is frozen."""
    frozen = flatten_dict(paths_matching(blank(config.model.name), config.freeze), sep="/")
    return {path.split("/")[0] for path, stays in frozen.items() if stays}


def test_an_experiment_cannot_invent_a_key():
    config = default_config()
    with pytest.raises(UserError, match="learning_rat: no such key; the nearest is learning_rate"):
        config.learning_rat = 1.0
    with pytest.raises(UserError, match="nam: no such key; the nearest is name"):
        config.model.nam = "aggpose_s"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("batch_size", "8", "batch_size: '8' is not a whole number; give one, such as 128"),
        ("batch_size", 8.0, "batch_size: 8.0 is not a whole number"),
        ("batch_size", True, "batch_size: True is not a whole number"),
        ("learning_rate", "fast", "learning_rate: 'fast' is not a number; give one, such as 0.001"),
        ("flip_test", 1, "flip_test: 1 is not True or False"),
        ("data_dir", None, "data_dir: None is not text; give one, such as 'data/coco'"),
        ("freeze", "head/.*", "freeze: 'head/.*' is not a tuple"),
        ("input_size", (64, "48"), "input_size: '48' is not a whole number; give one, such as 256"),
        ("model", {"name": "aggpose_s"}, "model: has keys of its own; set one of them, such as model."),
    ],
)
def test_a_value_of_another_type_is_told_the_right_one(key, value, message):
    config = default_config()
    with pytest.raises(UserError, match=re.escape(message)):
        config[key] = value
    assert config.to_dict() == default_config().to_dict()


def test_whole_numbers_and_lists_become_what_the_key_holds():
    config = default_config()
    config.sigma, config.decay_epochs, config.input_size = 3, [1, 2], [64, 32]
    assert (config.sigma, config.decay_epochs, config.input_size) == (3.0, (1.0, 2.0), (64, 32))
    assert [type(x) for x in (config.sigma, config.decay_epochs[0])] == [float, float]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decoder", "dork", "decoder: 'dork' is unknown; known are dark, quarter, argmax"),
        ("crop_convention", "biased", "known are unbiased, hrnet"),
        ("data", "imagenet", "known are coco, infant_pose, coco_keypoints, synthetic, frames"),
        ("schedule", "", "schedule: '' is unknown; known are step, cosine"),
        ("model.dtype", "float", "model.dtype: 'float' is unknown; known are float32, bfloat16"),
        ("model.fusion", "none", "known are released, paper"),
        ("batch_size", -8, "batch_size: -8 is negative"),
        ("batch_size", 0, "batch_size: is 0; give more"),
        ("decay_epochs", (1.0, -2.0), "decay_epochs: -2.0 is negative"),
        ("color_jitter", 1.5, "color_jitter: 1.5 is more than 1"),
        ("betas", (0.9,), "betas: (0.9,) are not two numbers"),
        ("freeze", ("head/(",), "freeze: 'head/(' is no regular expression"),
    ],
)
def test_a_value_without_sense(key, value, message):
    config = default_config()
    *group, last = key.split(".")
    (config[group[0]] if group else config)[last] = value
    with pytest.raises(UserError, match=re.escape(message)):
        check(config)


def test_what_is_known_is_what_there_is():
    assert CHOICES["crop_convention"] == geometry.CONVENTIONS
    assert set(CHOICES["data"]) == {"coco", "synthetic", "frames", *BUILDERS}
    assert set(default_config().flat()) > {key for keys in CHANGEABLE.values() for key in keys}
    assert set(default_config().flat()) > {*CHOICES, *POSITIVE, *AT_MOST_ONE, *OF_TWO, *PATTERNS}


def test_no_task_or_network_of_a_name():
    config = default_config()
    config.task = "poses"
    with pytest.raises(UserError, match="task: 'poses' is unknown; known are pose, mae"):
        make_task(config)
    config.task, config.model.name = "pose", "aggpose_xl"
    with pytest.raises(UserError, match=r"model\.name: unknown network 'aggpose_xl'; the nearest is aggpose_l;"):
        make_task(config)


def test_the_fusion_of_the_paper():
    config = experiment("infant_s", "debug")
    config.model.fusion = "paper"
    assert make_task(config).model.fusion == "paper"


def test_the_description_has_every_key_and_begins_with_what_is_set():
    config = default_config()
    config.seed, config.model.drop_path = 7, 0.25
    own, rest = describe(config).split("\nby default: ")
    assert own == "configuration: model.drop_path=0.25, seed=7"
    assert "betas=(0.9, 0.999), " in rest.replace("\n", " ")
    assert all(re.search(rf"\b{re.escape(key)}=", own + " " + rest) for key in config.flat())


def test_each_default_is_its_own():
    first, second = default_config(), default_config()
    first.augmentation.flip = 0.0
    assert second.augmentation.flip == 0.5


def test_a_loaded_configuration_has_the_types_of_the_default(tmp_path):
    config = default_config()
    config.input_size, config.freeze, config.model.drop_path = (64, 32), ("stage1_.*", "head/.*"), 0.3
    save_config(config, tmp_path / "config.json")
    loaded = load_config(tmp_path / "config.json")
    assert loaded.input_size == (64, 32)
    assert loaded.freeze == ("stage1_.*", "head/.*")
    assert loaded.model.drop_path == 0.3
    assert loaded.is_locked
    with pytest.raises(UserError, match="nonsense: no such key"):
        loaded.nonsense = 1


def test_a_key_that_a_run_did_not_know_has_its_default(tmp_path):
    stored = default_config().to_dict() | {"batch_size": 3}
    del stored["average_decay"], stored["model"]["unroll"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    loaded = load_config(tmp_path / "config.json")
    assert (loaded.batch_size, loaded.average_decay, loaded.model.unroll) == (3, 0.0, 0)


def test_no_configuration_to_load(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load_config(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json: cannot be read as a configuration"):
        load_config(tmp_path / "config.json")


def test_published_recipes():
    coco, large, infant = (experiment(name) for name in ("coco_l", "coco_l_384", "infant_l"))
    assert (coco.learning_rate, coco.decay_epochs, coco.batch_size) == (1e-3, (170, 200, 240), 128)
    assert (coco.betas, coco.adam_epsilon, coco.weight_decay, coco.decay) == ((0.9, 0.999), 1e-8, 0.01, (".*",))
    assert (large.input_size, large.sigma, large.batch_size) == ((384, 288), 3, 64)
    assert (large.epochs, large.decay_epochs) == (400, (210, 280, 350))
    assert (infant.learning_rate, infant.epochs, infant.decay_epochs) == (1e-4, 100, (50, 80))
    assert (infant.keypoint_set, infant.nms_threshold, infant.batch_size) == ("infant_21", 0, 128)
    assert infant.augmentation.half_body_min_labelled == 9
    for config in (coco, large, infant):
        assert (config.model.name, config.model.drop_path, config.warmup_epochs) == ("aggpose_l", 0.1, 0)
        assert (config.color_jitter, config.flip_test, config.decoder) == (0.5, True, "dark")


def test_an_input_size_that_does_not_fit_the_network():
    config = default_config()
    config.input_size = (100, 96)
    with pytest.raises(UserError, match=r"input_size.*100.*divide by 32"):
        make_task(config)
