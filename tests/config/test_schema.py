"""Tests of the keys of the schema: defaults, checks, comments and their description as text."""

import re

import pytest

from aggpose_jax.config import check, debug_variant, default_config, describe, flat_keys
from aggpose_jax.data.tfds import BUILDERS
from aggpose_jax.data.views import Augmentation
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.training.tasks import make_task


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decoder", "dork", r"decoder: 'dork' .*from dark, quarter, quarter_each_axis, argmax"),
        ("crop_convention", "biased", r"'biased' .*unbiased, hrnet"),
        ("data", "imagenet", r"'imagenet' .*coco, infant_pose, coco_keypoints, synthetic, infants, frames"),
        ("schedule", "", r"schedule: '' .*step, cosine"),
        ("model.dtype", "float", r"model\.dtype: 'float' .*float32, bfloat16"),
        ("model.dtype", "float16", r"model\.dtype: 'float16' .*float32, bfloat16"),
        ("model.fusion", "none", r"'none' .*released, paper"),
        ("batch_size", -8, r"batch_size: -8 "),
        ("batch_size", 0, r"batch_size: .*\b0\b"),
        ("mesh.fsdp", 0, r"mesh\.fsdp: .*\b0\b"),
        ("input_size", (0, 192), r"input_size: .*\b0\b"),
        ("input_size", (64, 64, 3), r"input_size: \(64, 64, 3\) .*\b2\b"),
        ("decay_epochs", (1.0, -2.0), r"decay_epochs: -2\.0 "),
        ("color_jitter", 1.5, r"color_jitter: 1\.5 .*\b1\b"),
        ("betas", (0.9,), r"betas: \(0\.9,\) .*\b2\b"),
        ("freeze", ("head/(",), r"freeze: 'head/\(' "),
    ],
)
def test_value_that_is_not_allowed_raises_with_the_comment_of_its_key(key, value, message):
    config = default_config()
    *group, last = key.split(".")
    (config[group[0]] if group else config)[last] = value
    with pytest.raises(UserError, match=re.compile(message)) as raised:
        check(config)
    assert str(raised.value).startswith(f"{key}: ")
    assert str(raised.value).endswith(f"({flat_keys()[key].comment})")


def test_all_defaults_are_valid_and_all_keys_have_a_comment():
    check(default_config())
    assert default_config().flat() == {name: key.default for name, key in flat_keys().items()}
    assert all(key.comment for key in flat_keys().values())


def test_choices_and_augmentation_match_the_code_that_uses_them():
    keys = flat_keys()
    assert keys["crop_convention"].choices == ("", *geometry.CONVENTIONS)
    assert set(keys["data"].choices) == {"coco", "synthetic", "infants", "frames", *BUILDERS}
    assert Augmentation(**default_config().augmentation) == Augmentation()


def test_unknown_task_or_network_raises():
    config = default_config()
    config.task = "poses"
    with pytest.raises(UserError, match="task: 'poses' "):
        make_task(config)
    config.task, config.model.name = "pose", "aggpose_xl"
    with pytest.raises(UserError, match=r"model\.name: .*'aggpose_xl'.*\baggpose_l\b"):
        make_task(config)


def test_task_builds_the_fusion_of_the_paper():
    config = debug_variant(default_config())
    config.model.fusion = "paper"
    assert make_task(config).model.fusion == "paper"


def test_input_size_that_the_network_cannot_divide_raises():
    config = default_config()
    config.input_size = (100, 96)
    with pytest.raises(UserError, match=r"input_size.*\b100\b.*\b32\b"):
        make_task(config)


def test_description_has_every_key_and_begins_with_the_changed_ones():
    config = default_config()
    config.seed, config.model.drop_path = 7, 0.25
    changed, unchanged = describe(config).split("\ndefaults: ")
    assert changed == "configuration: model.drop_path=0.25, seed=7"
    assert "betas=(0.9, 0.999), " in unchanged.replace("\n", " ")
    assert all(re.search(rf"\b{re.escape(key)}=", changed + " " + unchanged) for key in config.flat())


def test_default_configs_share_no_state():
    first, second = default_config(), default_config()
    first.augmentation.flip = 0.0
    assert second.augmentation.flip == 0.5
