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
    assert networks.find(debug.model.name) is networks.find(full.model.name)
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
        assert (config.color_jitter, config.flip_test, config.protocol) == (0.5, True, "aggpose")


# Published recipes: learning rate, weight decay, epochs, epochs of its drops or the lowest rate, batch size; then
# rotation, scale and half-body probability of the augmentation; then the protocol and whether targets are rounded.
RECIPES = {
    "simple_baseline": ((1e-3, 0, 140, (90, 120), 128), (40, 0.3, 0), "simple_baseline", True),
    "hrnet": ((1e-3, 0, 210, (170, 200), 128), (45, 0.35, 0.3), "hrnet", True),
    "transpose": ((1e-4, 0, 240, 1e-5, 56), (45, 0.35, 0.3), "transpose", False),
    "tokenpose": ((1e-3, 0, 300, (200, 260), 64), (45, 0.35, 0.3), "tokenpose", False),
    "hrformer": ((5e-4, 0.01, 210, (170, 200), 256), (40, 0.5, 0.3), "hrformer", True),
    "swin_pose": ((5e-4, 0, 210, (170, 200), 256), (40, 0.5, 0.3), "mmpose", True),
}


@pytest.mark.parametrize("name", RECIPES)
def test_comparison_networks_have_the_recipes_of_their_authors(name):
    optimizer, augmentation, protocol, rounded = RECIPES[name]
    coco, infant = experiment(name), experiment(name, "infant")
    decay = coco.lowest_rate if coco.schedule == "cosine" else coco.decay_epochs
    assert (coco.learning_rate, coco.weight_decay, coco.epochs, decay, coco.batch_size) == optimizer
    drawn = coco.augmentation
    assert (drawn.rotation, drawn.scale, drawn.half_body) == augmentation
    assert (coco.protocol, coco.rounded_targets, coco.color_jitter) == (protocol, rounded, 0)
    assert (coco.keypoint_set, coco.detections != "") == ("coco_17", True)
    assert (infant.learning_rate, infant.weight_decay, infant.epochs) == (1e-4, 0.01, 100)
    assert (infant.schedule, infant.decay_epochs, infant.batch_size) == ("step", (50, 80), 128)
    assert (infant.keypoint_set, infant.nms_threshold, infant.protocol) == ("infant_21", 0, protocol)
    assert experiment(name, "infant,debug").model.name == f"{name}_tiny"


@pytest.mark.parametrize(("name", "drop_path"), [("hrformer", 0.2), ("swin_pose", 0.3)])
def test_transformers_with_windows_warm_up_and_move_boxes(name, drop_path):
    config = experiment(name)
    assert config.model.drop_path == drop_path
    assert config.warmup_epochs * 149_813 / 256 == pytest.approx(500)
    assert (config.augmentation.shift * 1.25, config.augmentation.shift_probability) == (pytest.approx(0.2), 0.3)


def test_bias_tables_of_hrformer_have_no_weight_decay():
    config = experiment("hrformer", "mmpose")
    matched = flatten_dict(paths_matching(blank("hrformer_b_mmpose"), config.decay), sep="/")
    assert {path.rsplit("/", 1)[1] for path, decays in matched.items() if not decays} == {
        "relative_position_bias_table"
    }


@pytest.mark.parametrize("name", ["simple_baseline", "hrnet", "hrformer"])
def test_published_weights_of_mmpose_have_their_own_protocol(name):
    ours, theirs = experiment(name), experiment(name, "mmpose")
    assert theirs.protocol == "mmpose"
    ours.protocol = "mmpose"
    if name == "hrformer":
        ours.model.name = "hrformer_b_mmpose"
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "argument", "network"),
    [
        ("coco_l", "s", "aggpose_s"),
        ("infant_l", "s", "aggpose_s"),
        ("simple_baseline", "50", "simple_baseline_50"),
        ("hrnet", "w48", "hrnet_w48"),
        ("transpose", "a4", "transpose_h_a4"),
        ("transpose", "s", "transpose_h_s"),
        ("swin_pose", "pyramid", "swin_pose_b_pyramid"),
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
    assert debug.model.name == experiment(name, "debug").model.name


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
