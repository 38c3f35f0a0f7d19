"""Rows of the network benchmark, and the other programs that it is compared with, on a tiny network."""

import jax
import numpy as np
import pytest

from aggpose_jax.benchmarks import network, peers, training
from aggpose_jax.config import debug_variant, default_config
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.pose_model import PoseModel
from aggpose_jax.runtime import sharding
from aggpose_jax.training.tasks import make_task
from aggpose_jax.training.trainer import Trainer


@pytest.fixture
def config():
    config = debug_variant(default_config())
    config.data, config.keypoint_set, config.synthetic_train = "synthetic", "infant_21", 8
    config.input_size, config.batch_size, config.model.unroll = (64, 64), 2, 1
    return config


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """Calls each function once instead of measuring it."""
    for module in (network, training):
        monkeypatch.setattr(
            module.timing, "in_turn", lambda functions: {n: [1.0 + (f() is None)] for n, f in functions.items()}
        )


def test_a_row_for_each_batch_and_one_for_a_peer_that_cannot_run(config, monkeypatch):
    config.model.name = "mit_pose_tiny"
    monkeypatch.setattr(peers, "PEERS", {"wrong": lambda model, variables: lambda images: np.ones((2, 16, 16, 21))})
    rows = network.measure(config, [2], ["wrong"])
    assert [row.name for row in rows] == [
        *("forward, 2 crops", "forward, 2 crops, wrong"), "crops to keypoints with flip test, 2 crops"
    ]  # fmt: skip
    assert rows[0].cost.operations > 0
    assert rows[1].note.startswith("its heatmaps differ by ")
    assert rows[1].slower is not None

    def missing(model, variables):
        raise ModuleNotFoundError(name="onnxruntime")

    monkeypatch.setattr(peers, "PEERS", {"onnxruntime": missing})
    monkeypatch.setattr(network, "_forward", lambda *arguments: [])
    monkeypatch.setattr(network, "_estimate", _full)
    last, first = network.measure(config, [64], ["onnxruntime"])[::-1]
    assert (first.name, first.note) == ("64 crops", "out of memory")
    assert last.note.startswith("onnxruntime is not installed; ")


def _full(*arguments):
    raise MemoryError


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "network"), [("torch", "aggpose_tiny"), ("onnxruntime", "mit_pose_tiny"), ("openvino", "mit_pose_tiny")]
)
def test_peers_compute_the_same_heatmaps(config, name, network):
    pytest.importorskip(name, reason=f"{name} is not installed: see .ci/run")
    config.model.name = network
    model = PoseModel.from_config(config)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda a: (0.1 * rng.standard_normal(a.shape)).astype(np.float32), model.shapes())
    images = rng.standard_normal((3, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(jax.jit(model.apply)(variables, images))
    np.testing.assert_allclose(
        peers.open_peer(name, model, variables)(images), expected, atol=1e-4 * abs(expected).max()
    )


def test_rows_of_a_training_step_and_of_pytorch(config, monkeypatch):
    config.model.name = "mit_pose_tiny"
    cost = object()
    monkeypatch.setattr(training, "compile_program", lambda *arguments: (lambda state, batch: (state, {}, None), cost))
    monkeypatch.setattr(training, "_torch_step", lambda *arguments: lambda: None)
    rows = training.measure(config, ["torch", "onnxruntime"])
    assert [row.name for row in rows] == ["training step, 2 images", "training step, 2 images, torch"]
    assert rows[0].cost is cost
    assert rows[1].slower is not None


@pytest.mark.extras
def test_a_training_step_of_pytorch_changes_the_weights(config, torch, monkeypatch):
    made, make_twin = [], peers.make_twin
    monkeypatch.setattr(peers, "make_twin", lambda *arguments: made.append(make_twin(*arguments)) or made[0])
    trainer = Trainer(make_task(config), config, sharding.make_mesh())
    step = training._torch_step(trainer, trainer.new_state(), 2, compiled=False)
    before = [parameter.detach().clone() for parameter in made[0].parameters()]
    step()
    after = list(made[0].parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(before) / 2


@pytest.mark.extras
def test_networks_without_a_twin_are_named(config, torch):
    config.model.name = "mit_pose_tiny"
    model = PoseModel.from_config(config)
    with pytest.raises(peers.Unavailable, match="MitPose"):
        peers.open_peer("torch", model, model.shapes())


def test_a_configuration_without_a_pose_network_is_an_error(config):
    config.task = "mae"
    with pytest.raises(UserError, match="mae does not predict keypoints"):
        network.measure(config, [1], [])
