"""Tests of the experiments in configs/."""

import importlib.util
import json
import pathlib

import ml_collections
import pytest
from flax.traverse_util import flatten_dict
from trees import blank

from aggpose_jax import networks
from aggpose_jax.config import default_config, load_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.training.optimizer import paths_matching
from aggpose_jax.training.tasks import make_task

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
STAGES = ("mit", "join", "level1", "level2", "level3", "level4", "coco", "infant")  # of configs/recipe_infant_l.py
EXPERIMENTS = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")


def experiment(name: str, argument: str | None = None) -> ml_collections.ConfigDict:
    spec = importlib.util.spec_from_file_location(f"configs_{name}", CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config() if argument is None else module.get_config(argument)


@pytest.mark.parametrize("argument", [None, "debug"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_builds_a_task_and_is_the_same_after_json(name, argument, tmp_path):
    config = experiment(name, argument)
    assert config.is_locked
    assert config.keys() == default_config().keys()
    task = make_task(config)
    assert config.task == "mae" or len(task.keypoint_set) == task.model.keypoints
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json").to_dict() == config.to_dict()
    json.loads((tmp_path / "config.json").read_text())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_debug_variant_is_small_and_keeps_the_other_keys(name):
    full, debug = experiment(name), experiment(name, "debug")
    assert debug.model.name.endswith("_tiny")
    assert debug.model.name in networks.NAMES
    assert debug.model.name.startswith(full.model.name.rsplit("_", 1)[0])
    assert 0 < debug.steps <= 20
    assert debug.batch_size <= 8
    same = {"data", "keypoint_set", "learning_rate", "schedule", "freeze", "decoder", "nms_threshold"}
    # The debug variant of the recipe trains on synthetic infants in every stage.
    for key in same - ({"data"} if name == "recipe_infant_l" else set()):
        assert debug[key] == full[key]


def test_experiments_have_the_published_hyperparameters():
    coco, large, infant = experiment("coco_l"), experiment("coco_l", "384"), experiment("infant_l")
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


def test_simple_baseline_has_the_published_hyperparameters():
    coco, infant = experiment("simple_baseline"), experiment("simple_baseline", "infant")
    assert (coco.epochs, coco.decay_epochs, coco.learning_rate, coco.weight_decay) == (140, (90, 120), 1e-3, 0)
    assert (coco.augmentation.rotation, coco.augmentation.scale, coco.augmentation.half_body) == (40, 0.3, 0)
    assert (infant.epochs, infant.decay_epochs, infant.learning_rate) == (100, (50, 80), 1e-4)
    assert (infant.keypoint_set, infant.nms_threshold) == ("infant_21", 0)
    assert experiment("simple_baseline", "infant,debug").model.name == "simple_baseline_tiny"


def test_hrnet_has_the_published_hyperparameters():
    coco, infant = experiment("hrnet"), experiment("hrnet", "infant")
    assert (coco.epochs, coco.decay_epochs, coco.learning_rate, coco.weight_decay) == (210, (170, 200), 1e-3, 0)
    assert (coco.augmentation.rotation, coco.augmentation.scale, coco.augmentation.half_body) == (45, 0.35, 0.3)
    assert (coco.model.name, coco.batch_size, coco.decoder) == ("hrnet_w32", 128, "quarter")
    assert (infant.epochs, infant.decay_epochs, infant.learning_rate) == (100, (50, 80), 1e-4)
    assert experiment("hrnet", "infant,debug").model.name == "hrnet_tiny"


@pytest.mark.parametrize(
    ("name", "argument", "network"),
    [
        ("coco_l", "s", "aggpose_s"),
        ("infant_l", "s", "aggpose_s"),
        ("simple_baseline", "50", "simple_baseline_50"),
        ("hrnet", "w48", "hrnet_w48"),
        ("mae_mit", "b2", "mae_b2"),
        ("mae_mit", "b5", "mae_b5"),
    ],
)
def test_argument_changes_only_the_network(name, argument, network):
    default, other = experiment(name), experiment(name, argument)
    default.model.name = network
    assert default == other
    debug = experiment(name, f"{argument},debug")
    assert debug == experiment(name, f"debug,{argument}")
    assert debug.model.name == network.rsplit("_", 1)[0] + "_tiny"


def test_stages_of_the_recipe_have_their_schedules_networks_and_frozen_modules():
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
    with pytest.raises(UserError, match=r"^:coco,level1 .*mit, join"):
        experiment("recipe_infant_l", "coco,level1")
    with pytest.raises(UserError, match=r"^:levels .*:mit, :join"):
        experiment("recipe_infant_l", "levels")


def frozen_modules(config: ml_collections.ConfigDict) -> set[str]:
    """Returns the names of the modules in which any parameter is frozen."""
    frozen = flatten_dict(paths_matching(blank(config.model.name), config.freeze), sep="/")
    return {path.split("/")[0] for path, is_frozen in frozen.items() if is_frozen}
