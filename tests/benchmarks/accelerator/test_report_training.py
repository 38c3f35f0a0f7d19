"""The crops and experiments of the accelerator report, beside those of real training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.benchmarks import accelerator_crops
from aggpose_jax.benchmarks.accelerator import experiments, training
from aggpose_jax.benchmarks.accelerator.part import LeftOut, Setting
from aggpose_jax.config import read_experiment
from aggpose_jax.training.tasks import make_task


@pytest.fixture(scope="module")
def crops():
    return accelerator_crops.draw((6, 3))


@pytest.mark.parametrize(
    ("name", "values", "other"),
    [("infant_l", experiments.INFANT_L, {"batch_size"}), ("synthetic", experiments.SYNTHETIC, set())],
)
def test_experiments_have_the_values_of_configs(name, values, other):
    config = read_experiment(name).flat()
    model = {f"model.{key}": value for key, value in values["model"].items()}
    for key, value in ({**values, **model}).items():
        if key not in {*other, "model"}:
            assert config[key] == value, key


def test_a_step_is_that_of_the_task(crops):
    config = read_experiment("synthetic", ["model.name=mit_pose_tiny"])
    trainer = experiments.make_trainer(experiments.SYNTHETIC, 6, "float32", name="mit_pose_tiny")
    task = make_task(config)
    key = jax.random.key(1)
    variables = jax.tree.map(lambda a: jnp.full(a.shape, 0.01, a.dtype), jax.eval_shape(task.init, key))
    batch = next(training.batches({k.removeprefix("train_"): v for k, v in crops.items()}, 2, seed=0))
    losses = [float(jax.jit(one.loss)(variables, batch, key)[0]) for one in (task, trainer.task)]
    assert losses[0] == losses[1] > 0


def test_held_out_crops_are_those_of_the_evaluation(crops):
    config = read_experiment("synthetic", ["synthetic_eval=3", "eval_batch_size=3"])
    task = make_task(config)
    batch = next(task.data.eval_batches(experiments._first_device()))
    for name in ("image", "keypoints", "weight"):
        np.testing.assert_array_equal(crops[f"test_{name}"], batch[name])
    assert crops["train_image"].shape == (6, 128, 96, 3)
    assert crops["train_image"].dtype == np.uint8


def test_batches_hold_each_crop_once_in_an_order_of_the_seed():
    arrays = {"image": np.arange(7), "keypoints": 10 * np.arange(7), "to_image": np.arange(7)}
    found = training.batches(arrays, 3, seed=1)
    first, second, third = (next(found) for _ in range(3))
    assert first.keys() == {"image", "keypoints"}
    assert len({*first["image"], *second["image"]}) == 6
    np.testing.assert_array_equal(10 * third["image"], third["keypoints"])
    np.testing.assert_array_equal(first["image"], next(training.batches(arrays, 3, seed=1))["image"])


def test_errors_are_those_of_labelled_keypoints():
    class Model:
        codec = type("Codec", (), {"input_size": (100, 80)})

        def estimate(self, variables, image, to_image):
            points = np.float32([[[13, 14, 1], [50, 50, 1], [0, 8, 1]], [[3, 0, 1], [0, 0, 1], [9, 9, 1]]])
            np.testing.assert_array_equal(to_image[1], [[1, 0, 0], [0, 1, 0]])
            return points, None

    run = type("Run", (), {})()
    run.trainer, run.state = type("Trainer", (), {})(), type("State", (), {"eval_variables": None})
    run.trainer.task = type("Task", (), {"pose_model": Model()})
    truth = np.float32([[[10, 10], [0, 0], [0, 0]], [[0, 0], [0, 0], [0, 0]]])
    crops = {"image": np.zeros((2, 1)), "keypoints": truth, "weight": np.float32([[1, 0, 1], [1, 1, 0]])}
    # The distances are 5, 8, 3 and 0 pixels; 5 % of the height are 5 pixels.
    assert training.errors(run, crops) == {"median_error": 4.0, "PCK": 0.5}


def test_without_crops_the_part_is_left_out(tmp_path):
    with pytest.raises(LeftOut, match=r"no\.npz; write it with .*accelerator_crops"):
        training.read_crops(Setting(tmp_path, tmp_path / "no.npz", tiny=True))
