"""The task of the masked autoencoder: its data, masks, loss and metrics."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax import networks
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.runtime import sharding
from aggpose_jax.training.tasks import make_task
from aggpose_jax.weights.state_dicts import Weights
from aggpose_jax.weights.transfer import transfer


def small(**changes):
    config = default_config()
    config.task, config.data, config.model.name, config.color_jitter = "mae", "synthetic", "mae_tiny", 0.0
    config = debug_variant(config)
    config.input_size, config.batch_size, config.eval_batch_size = (64, 64), 4, 4
    config.synthetic_train, config.synthetic_eval, config.frame_stride = 6, 3, 5
    config.update(changes)
    return config


def task_that_sees_means(**changes):
    """A task whose network predicts, for every unit, the mean of the visible units in each channel."""

    class Model:
        def apply(self, variables, images, kept, train=False, rngs=None, mutable=False):
            units = images.reshape(len(images), 2, 32, 2, 32, 3).swapaxes(2, 3).reshape(len(images), 4, -1, 3)
            seen = jax.vmap(lambda u, k: u[k])(units, kept).mean((1, 2))
            predicted = jnp.tile(seen[:, None] + variables["params"], (1, 4, 1024))
            return (predicted, {}) if train else predicted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "build", lambda **fields: Model())
        return make_task(small(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_ratio": 0.9}, "mask_ratio: 0.9 of 4 units keeps none; give another"),
        ({"mask_ratio": 0.1}, "mask_ratio: 0.1 of 4 units masks none"),
        ({"input_size": (64, 50)}, r"input_size: \(64, 50\) must divide by 32"),
        ({"data": "coco"}, "data: coco has no frames of videos"),
        ({"model": {"name": "aggpose_tiny"}}, "model.name: aggpose_tiny is no masked autoencoder"),
        ({"task": "pose", "data": "frames"}, "data: frames have no keypoints"),
    ],
)
def test_what_does_not_fit_together(changes, message):
    with pytest.raises(UserError, match=message):
        make_task(small(**changes))


def test_no_frames_to_read(tmp_path):
    with pytest.raises(UserError, match="holds no frame"):
        make_task(small(data="frames", data_dir=str(tmp_path))).describe()


def test_a_resumed_run_sees_the_frames_of_one_that_was_never_stopped():
    def seen(start, count):
        task = make_task(small())
        batches = itertools.islice(task.train_batches(start), count)
        return [
            (*divmod(int(i), 5), image.tobytes()) for b in batches for i, image in zip(b["id"], b["image"], strict=True)
        ]

    whole = seen(0, 9)
    assert seen(0, 4) + seen(4, 5) == whole
    assert sorted(video for video, _, _ in whole) == sorted(list(range(6)) * 6)  # 36 examples, six epochs
    assert len({(video, frame) for video, frame, _ in whole}) > 12


def test_the_figures_of_a_network_that_predicts_the_visible_mean():
    task = task_that_sees_means(normalise_pixels=False, mask_ratio=0.5)
    metrics = task.evaluate({"params": jnp.zeros(())}, sharding.make_mesh()).metrics
    assert metrics["error"] == pytest.approx(metrics["mean"], rel=1e-4)
    assert metrics["shuffled"] == pytest.approx(metrics["error"], rel=1e-4)  # a mean knows no places
    assert metrics["loss"] * (255 * 0.2257) ** 2 == pytest.approx(metrics["error"], rel=0.02)  # 0.2257: mean deviation
    assert 0 < metrics["interp."] != metrics["mean"]


def test_an_evaluation_does_not_depend_on_the_size_of_its_batches():
    tasks = [task_that_sees_means(eval_batch_size=size) for size in (1, 2)]
    ours, expected = (task.evaluate({"params": jnp.zeros(())}, sharding.make_mesh()).metrics for task in tasks)
    assert ours == pytest.approx(expected, rel=1e-5)


def test_a_frame_that_cannot_be_read_has_no_part_in_the_loss():
    task = task_that_sees_means(normalise_pixels=False)
    batch = next(task.train_batches(0))
    rng = jax.random.key(5)

    def loss_and_gradient(batch):
        return jax.value_and_grad(lambda p: task.loss({"params": p}, batch, rng)[0])(jnp.zeros(()))

    blank = batch | {"image": batch["image"].copy(), "valid": np.array([1, 0, 1, 1], np.float32)}
    expected = loss_and_gradient(blank)
    blank["image"][1] = 255
    assert loss_and_gradient(blank) == expected
    assert loss_and_gradient(blank | {"valid": np.ones(4, np.float32)})[0] != expected[0]


def test_masks_differ_between_steps_and_images_and_are_those_of_the_step():
    task = task_that_sees_means(normalise_pixels=False)
    batch = next(task.train_batches(0))
    losses = [float(task.loss({"params": jnp.zeros(())}, batch, jax.random.key(step))[0]) for step in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", ["mit_pose_tiny", "aggpose_tiny"])
def test_its_encoder_goes_into_pose_networks(name):
    task = make_task(small())
    rng = np.random.default_rng(0)
    source = jax.tree.map(
        lambda a: rng.standard_normal(a.shape, np.float32), jax.eval_shape(task.init, jax.random.key(0))["params"]
    )
    network = networks.build(name, keypoints=21)
    target = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3))))["params"]
    source_weights = Weights(networks.find("mae_tiny"), task.model, {"params": source})
    variables, account = transfer(Weights(networks.find(name), network, {"params": target}), source_weights)
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
    assert not any(new.startswith(("stage", "embed", "encoder", "down")) for new in account.new)
