"""Tests of the loss of pose networks, and of the data that they are trained on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aggpose_jax import io
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.data.synthetic import drawn_ahead
from aggpose_jax.data.synthetic.staging import LEVELS
from aggpose_jax.pose.codec import Codec
from aggpose_jax.pose.protocol import AGGPOSE
from aggpose_jax.training.pose_task import PoseObjective
from aggpose_jax.training.tasks import make_task


class Constant(nn.Module):
    """A network whose heatmaps [16, 12, 2] are its parameters."""

    @nn.compact
    def __call__(self, image, train: bool = False):
        heatmaps = self.param("heatmaps", nn.initializers.constant(0.5), (16, 12, 2))
        return jnp.broadcast_to(heatmaps, (len(image), 16, 12, 2))


class Model:
    network, codec, protocol = Constant(), Codec(input_size=(64, 48), sigma=1.0), AGGPOSE


@pytest.mark.parametrize("absent", [False, True])
def test_the_heatmap_of_an_absent_keypoint_is_pulled_to_zero_and_that_of_an_unlabelled_one_is_not(absent):
    batch = {
        "image": np.zeros((1, 64, 48, 3), np.uint8),
        "keypoints": np.array([[[24.0, 32.0], [0, 0]]], np.float32),
        "weight": np.array([[1, 0]], np.float32),
    }
    if absent:
        batch["absent"] = np.array([[0, 1]], np.float32)
    objective = PoseObjective(Model(), color_jitter=0.0, hardest_keypoints=0)
    variables = Model.network.init(jax.random.key(0), jnp.zeros((1, 64, 48, 3)))
    gradient = jax.grad(lambda v: objective(v, batch, jax.random.key(0))[0])(variables)["params"]["heatmaps"]
    assert (gradient[..., 0] != 0).any()
    assert (gradient[..., 1] > 0).all() == absent
    assert (gradient[..., 1] == 0).all() == (not absent)


def test_infants_that_were_drawn_ahead_are_trained_on_and_evaluated(tmp_path, monkeypatch):
    for split, variety in (("train", LEVELS["empty"]), ("val", LEVELS["cameras"])):
        folder = tmp_path / split
        monkeypatch.setattr(drawn_ahead, "SHARD", 3)
        folder.mkdir()
        settings = drawn_ahead.Settings(6, split, 0, variety)
        io.write_json(folder / "manifest.json", dataclasses.asdict(settings))
        for shard in range(2):
            drawn_ahead._draw_shard(folder, settings, shard)
    config = debug_variant(default_config())
    config.model.name, config.keypoint_set, config.data, config.data_dir = (
        "mit_pose_tiny",
        "infant_21",
        "infants",
        str(tmp_path),
    )
    config.train_split, config.eval_split, config.batch_size, config.threads = "train", "val", 4, 1
    task = make_task(config)
    batch = next(iter(task.data.train_batches(0)))
    assert batch["image"].shape == (4, 128, 96, 3)
    assert batch["absent"].shape == batch["weight"].shape == (4, 21)
    assert not (batch["absent"] * batch["weight"]).any()
    truth = task.data.eval_source.ground_truth()
    assert len(truth["images"]) == 6
    assert [annotation["image_id"] for annotation in truth["annotations"]] == [1, 2, 3, 4, 5, 6]
