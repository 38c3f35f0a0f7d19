"""What is stated of each key."""

import re

import pytest

from aggpose_jax.config import check, debug_variant, default_config, describe, flat_keys
from aggpose_jax.data.tfds import BUILDERS
from aggpose_jax.data.transforms import Augmentation
from aggpose_jax.errors import UserError
from aggpose_jax.pose import geometry
from aggpose_jax.training.tasks import make_task


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("decoder", "dork", "decoder: 'dork' is unknown; known are dark, quarter, argmax"),
        ("crop_convention", "biased", "known are unbiased, hrnet"),
        ("data", "imagenet", "known are coco, infant_pose, coco_keypoints, synthetic, frames"),
        ("schedule", "", "schedule: '' is unknown; known are step, cosine"),
        ("model.dtype", "float", "model.dtype: 'float' is unknown; known are float32, bfloat16"),
        ("model.dtype", "float16", "model.dtype: 'float16' is unknown; known are float32, bfloat16"),
        ("model.fusion", "none", "known are released, paper"),
        ("batch_size", -8, "batch_size: -8 is negative"),
        ("batch_size", 0, "batch_size: is 0; give more"),
        ("mesh.fsdp", 0, "mesh.fsdp: is 0; give more"),
        ("input_size", (0, 192), "input_size: is 0; give more"),
        ("input_size", (64, 64, 3), "input_size: (64, 64, 3) is not 2 numbers; give 2"),
        ("decay_epochs", (1.0, -2.0), "decay_epochs: -2.0 is negative"),
        ("color_jitter", 1.5, "color_jitter: 1.5 is more than 1"),
        ("betas", (0.9,), "betas: (0.9,) is not 2 numbers; give 2"),
        ("freeze", ("head/(",), "freeze: 'head/(' is not a valid regular expression"),
    ],
)
def test_a_value_without_sense(key, value, message):
    config = default_config()
    *group, last = key.split(".")
    (config[group[0]] if group else config)[last] = value
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        check(config)
    assert str(raised.value).startswith(f"{key}: ")
    assert str(raised.value).endswith(f"({flat_keys()[key].comment})")


def test_every_default_makes_sense_and_every_key_has_a_comment():
    check(default_config())
    assert default_config().flat() == {name: key.default for name, key in flat_keys().items()}
    assert all(key.comment for key in flat_keys().values())


def test_what_is_known_is_what_there_is():
    keys = flat_keys()
    assert keys["crop_convention"].choices == geometry.CONVENTIONS
    assert set(keys["data"].choices) == {"coco", "synthetic", "frames", *BUILDERS}
    assert Augmentation(**default_config().augmentation) == Augmentation()


def test_no_task_or_network_of_a_name():
    config = default_config()
    config.task = "poses"
    with pytest.raises(UserError, match="task: 'poses' is unknown; known are pose, mae"):
        make_task(config)
    config.task, config.model.name = "pose", "aggpose_xl"
    with pytest.raises(UserError, match=r"model\.name: unknown network 'aggpose_xl'; the nearest is aggpose_l;"):
        make_task(config)


def test_the_fusion_of_the_paper():
    config = debug_variant(default_config())
    config.model.fusion = "paper"
    assert make_task(config).model.fusion == "paper"


def test_an_input_size_that_does_not_fit_the_network():
    config = default_config()
    config.input_size = (100, 96)
    with pytest.raises(UserError, match=r"input_size.*100.*divide by 32"):
        make_task(config)


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
