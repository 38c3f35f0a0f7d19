"""The MAE pretraining task: its data, masks, loss and metrics."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax import networks
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.pose.protocol import AGGPOSE
from aggpose_jax.runtime import sharding
from aggpose_jax.training import mae_targets
from aggpose_jax.training.mae_teacher import Teacher
from aggpose_jax.training.tasks import make_task
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import transfer


def small_config(**changes):
    config = default_config()
    config.task, config.data, config.model.name, config.color_jitter = "mae", "synthetic", "mae_tiny", 0.0
    config = debug_variant(config)
    config.input_size, config.batch_size, config.eval_batch_size = (64, 64), 4, 4
    config.synthetic_train, config.synthetic_eval, config.frame_stride = 6, 3, 5
    config.update(changes)
    return config


def make_mean_task(**changes):
    """Returns a task whose network predicts, for every patch, the mean colour of the visible patches."""

    class Model:
        def apply(self, variables, images, visible, train=False, rngs=None, mutable=False):
            patches = images.reshape(len(images), 2, 32, 2, 32, 3).swapaxes(2, 3).reshape(len(images), 4, -1, 3)
            mean = jax.vmap(lambda p, v: p[v])(patches, visible).mean((1, 2))
            predicted = jnp.tile(mean[:, None] + variables["params"], (1, 4, 1024))
            return (predicted, {}) if train else predicted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "build", lambda **fields: Model())
        return make_task(small_config(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_ratio": 0.9}, "mask_ratio: 0.9 of 4 patches"),
        ({"mask_ratio": 0.1}, "mask_ratio: 0.1 of 4 patches"),
        ({"input_size": (64, 50)}, r"input_size: \(64, 50\) .* 32"),
        ({"data": "coco"}, "data: coco "),
        ({"boxes": "runs"}, "boxes: runs .*truth"),
        ({"target": "heatmaps"}, "teacher: none"),
        ({"model": {"name": "aggpose_tiny"}}, "model.name: aggpose_tiny "),
        ({"task": "pose", "data": "frames"}, "data: frames "),
    ],
)
def test_contradictory_configurations_are_errors(changes, message):
    with pytest.raises(UserError, match=message):
        make_task(small_config(**changes))


def test_an_empty_data_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="frame"):
        make_task(small_config(data="frames", data_dir=str(tmp_path))).describe()


def test_a_resumed_run_sees_the_same_frames():
    def frames_of(start, count):
        task = make_task(small_config())
        batches = itertools.islice(task.train_batches(start), count)
        return [
            (*divmod(int(i), 5), image.tobytes()) for b in batches for i, image in zip(b["id"], b["image"], strict=True)
        ]

    frames = frames_of(0, 9)
    assert frames_of(0, 4) + frames_of(4, 5) == frames
    assert sorted(video for video, _, _ in frames) == sorted(list(range(6)) * 6)  # 36 examples, six epochs
    assert len({(video, frame) for video, frame, _ in frames}) > 12


def test_metrics_of_a_network_that_predicts_the_visible_mean():
    task = make_mean_task(normalise_pixels=False, mask_ratio=0.5)
    metrics = task.evaluate({"params": jnp.zeros(())}, sharding.make_mesh()).metrics
    assert metrics["error"] == pytest.approx(metrics["mean"], rel=1e-4)
    assert metrics["shuffled"] == pytest.approx(
        metrics["error"], rel=1e-4
    )  # a mean does not depend on the order of patches
    assert metrics["loss"] * (255 * 0.2257) ** 2 == pytest.approx(
        metrics["error"], rel=0.02
    )  # 0.2257: mean standard deviation
    assert 0 < metrics["interp."] != metrics["mean"]


def test_a_network_with_small_mask_patches_is_trained_evaluated_and_drawn():
    config = small_config(input_size=(64, 32))
    config.model.mask_patch = 16
    task = make_task(config)
    assert task.describe().startswith("2 of 8 patches are visible")
    variables = jax.jit(task.init)(jax.random.key(0))
    assert np.isfinite(jax.jit(task.loss)(variables, next(task.train_batches(0)), jax.random.key(0))[0])
    result = task.evaluate(variables, sharding.make_mesh())
    assert all(0 < result.metrics[name] < 255**2 for name in ("error", "mean", "interp.", "shuffled"))
    grid = task.evaluation_pictures(variables, sharding.make_mesh(), result)["reconstructions"]
    assert (task.batch_pictures(next(task.train_batches(0)))["batch"] == 128).all(-1).sum() == 4 * 6 * 16 * 16
    assert grid.dtype == np.uint8


def test_the_loss_is_that_of_the_later_frame_if_there_is_one():
    task = make_mean_task(normalise_pixels=False, target_offset=1)
    batch = next(task.train_batches(0))
    assert batch["target"].shape == batch["image"].shape
    batch |= {"image": np.full((4, 64, 64, 3), 51, np.uint8), "target": np.full((4, 64, 64, 3), 153, np.uint8)}
    loss, _ = task.loss({"params": jnp.zeros(())}, batch, jax.random.key(0))
    deviation = np.array([0.229, 0.224, 0.225])
    # The network predicts the colour of the visible patches, .2; the target is .6.
    assert float(loss) == pytest.approx(np.square(0.4 / deviation).mean(), rel=1e-4)
    metrics = task.evaluate({"params": jnp.zeros(())}, sharding.make_mesh()).metrics
    assert metrics["error"] == pytest.approx(metrics["mean"], rel=1e-4)


def test_colours_of_a_frame_and_of_its_target_change_alike():
    task = make_mean_task(normalise_pixels=False, target_offset=1, color_jitter=1.0)
    batch = next(task.train_batches(0))
    batch |= {"image": np.full((4, 64, 64, 3), 51, np.uint8), "target": np.full((4, 64, 64, 3), 51, np.uint8)}
    loss, _ = task.loss({"params": jnp.zeros(())}, batch, jax.random.key(0))
    assert float(loss) == pytest.approx(0, abs=1e-6)


class Brightness:
    """A teacher whose three heatmaps are the colours of an image, each 4×4 pixels averaged."""

    def apply(self, variables, images):
        b, h, w, c = images.shape
        return images.reshape(b, h // 4, 4, w // 4, 4, c).mean((2, 4))


def test_a_network_learns_the_heatmaps_of_a_teacher(monkeypatch):
    monkeypatch.setattr(mae_targets, "read_teacher", lambda config: Teacher(Brightness(), {}, AGGPOSE, 3, 1.0))
    config = small_config(target="heatmaps", teacher="pretrained", boxes="truth")
    config.model.mask_patch = 16
    task = make_task(config)
    assert task.summary == ("loss", "zeros", "shuffled")
    variables, batch = jax.jit(task.init)(jax.random.key(0)), next(task.train_batches(0))

    @jax.jit
    def loss_and_gradient(variables):
        return jax.value_and_grad(lambda v: task.loss(v, batch, jax.random.key(0))[0])(variables)

    before, gradient = loss_and_gradient(variables)
    step = jax.tree.map(lambda v, g: v - 1e-2 * g, variables, gradient)
    assert loss_and_gradient(step)[0] < before
    result = task.evaluate(variables, sharding.make_mesh())
    assert result.metrics.keys() == {"loss", "zeros", "shuffled"}
    assert all(np.isfinite(value) and value > 0 for value in result.metrics.values())
    assert task.evaluation_pictures(variables, sharding.make_mesh(), result) == {}


def test_metrics_do_not_depend_on_the_batch_size():
    tasks = [make_mean_task(eval_batch_size=size) for size in (1, 2)]
    first, second = (task.evaluate({"params": jnp.zeros(())}, sharding.make_mesh()).metrics for task in tasks)
    assert first == pytest.approx(second, rel=1e-5)


def test_an_unreadable_frame_has_no_weight_in_the_loss():
    task = make_mean_task(normalise_pixels=False)
    batch = next(task.train_batches(0))
    rng = jax.random.key(5)

    def loss_and_gradient(batch):
        return jax.value_and_grad(lambda p: task.loss({"params": p}, batch, rng)[0])(jnp.zeros(()))

    blank = batch | {"image": batch["image"].copy(), "valid": np.array([1, 0, 1, 1], np.float32)}
    expected = loss_and_gradient(blank)
    blank["image"][1] = 255
    assert loss_and_gradient(blank) == expected
    assert loss_and_gradient(blank | {"valid": np.ones(4, np.float32)})[0] != expected[0]


def test_masks_depend_on_the_random_key_of_the_step():
    task = make_mean_task(normalise_pixels=False)
    batch = next(task.train_batches(0))
    losses = [float(task.loss({"params": jnp.zeros(())}, batch, jax.random.key(step))[0]) for step in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", ["mit_pose_tiny", "aggpose_tiny"])
def test_the_encoder_is_transferred_to_pose_networks(name):
    task = make_task(small_config())
    rng = np.random.default_rng(0)
    source = jax.tree.map(
        lambda a: rng.standard_normal(a.shape, np.float32), jax.eval_shape(task.init, jax.random.key(0))["params"]
    )
    network = networks.build(name, keypoints=21)
    target = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))["params"]
    source_weights = Weights(networks.find("mae_tiny"), task.model, {"params": source})
    variables, report = transfer(Weights(networks.find(name), network, {"params": target}), source_weights)
    params = variables["params"]
    stage, embed = (
        (params["encoder"]["stage2"], params["encoder"]["embed3"])
        if "encoder" in params
        else (params["stage2_4"], params["down3_4"])
    )
    np.testing.assert_array_equal(
        stage["blocks"]["ffn"]["fc1"]["kernel"], source["encoder"]["stage2"]["blocks"]["ffn"]["fc1"]["kernel"]
    )
    np.testing.assert_array_equal(embed["proj"]["kernel"], source["encoder"]["embed3"]["proj"]["kernel"])
    assert not any(new.startswith(("stage", "embed", "encoder", "down")) for new in report.new)
