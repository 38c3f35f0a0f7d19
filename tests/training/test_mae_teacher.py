"""The teacher of masked pretraining: from the package, from a weight file, and those that do not fit."""

import jax
import jax.numpy as jnp
import pytest

from aggpose_jax import networks
from aggpose_jax.config import default_config, save_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation import pretrained
from aggpose_jax.pose.protocol import AGGPOSE, find_protocol
from aggpose_jax.training import mae_teacher
from aggpose_jax.training.mae_teacher import Teacher, read_teacher


def config_of(teacher, **changes):
    config = default_config()
    config.update({"task": "mae", "teacher": str(teacher), "input_size": (64, 96)} | changes)
    return config


def test_the_network_of_the_package_predicts_heatmaps_of_a_quarter_of_any_crop():
    teacher = read_teacher(config_of("pretrained"))
    assert (teacher.keypoints, teacher.sigma, teacher.protocol) == (21, 1.0, AGGPOSE)
    assert jax.eval_shape(teacher.heatmaps, jnp.zeros((2, 64, 96, 3))).shape == (2, 16, 24, 21)


def test_a_weight_file_has_the_protocol_and_sigma_of_the_configuration():
    teacher = read_teacher(config_of(pretrained.FOLDER / pretrained.WEIGHTS, protocol="hrnet", sigma=3.0))
    assert (teacher.keypoints, teacher.sigma, teacher.protocol) == (21, 3.0, find_protocol("hrnet"))


def test_colours_are_in_the_order_of_the_protocol():
    class Network:
        def apply(self, variables, images):
            return images

    rgb, bgr = (
        Teacher(Network(), {}, find_protocol(name), 3, 1.0).heatmaps(jnp.array([[[[0.1, 0.2, 0.3]]]]))
        for name in ("aggpose", "simple_baseline")
    )
    assert float(rgb[..., 0].item() * 0.229 + 0.485) == pytest.approx(0.1)
    assert float(bgr[..., 0].item() * 0.229 + 0.485) == pytest.approx(0.3)


def test_teachers_that_are_missing_or_of_another_kind_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"teacher: .*missing: no such run"):
        read_teacher(config_of(tmp_path / "missing"))
    config = config_of("")
    config.model.name = "mae_tiny"
    save_config(config, tmp_path / "config.json")
    with pytest.raises(UserError, match=r"teacher: .*task: mae does not predict keypoints"):
        read_teacher(config_of(tmp_path))


@pytest.mark.parametrize(("size", "message"), [((64, 90), r"\(64, 90\) must be divisible by 32"), ((64, 96), None)])
def test_sizes_of_which_a_teacher_has_no_heatmaps_are_errors(size, message):
    network, name = networks.build("mit_pose_tiny", keypoints=21), "mit_pose_tiny"
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 64, 96, 3))))
    variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), variables)
    teacher = Teacher(network, variables, AGGPOSE, 21, 1.0)
    if message is None:
        mae_teacher._check_size(teacher, networks.find(name), size)
        return
    with pytest.raises(UserError, match=message):
        mae_teacher._check_size(teacher, networks.find(name), size)


def test_a_teacher_of_one_size_needs_crops_of_that_size():
    network = networks.build("tokenpose_tiny", keypoints=21)
    kind = networks.find("tokenpose_tiny")
    with pytest.raises(UserError, match=r"only, not of input_size \(32, 32\)"):
        mae_teacher._check_size(Teacher(network, {}, AGGPOSE, 21, 1.0), kind, (32, 32))
