"""Frozen and trained BatchNorm layers in one network: plain, scanned and rematerialised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aggpose_jax.networks.batch_norm import BatchNorm
from aggpose_jax.training.frozen_statistics import frozen_statistics

X = np.random.default_rng(0).normal(3, 2, (4, 2, 2, 3)).astype(np.float32)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return 2 * BatchNorm(name="norm")(x, not train), None


class Network(nn.Module):
    """A BatchNorm, and two scanned blocks that are rematerialised in the backward pass."""

    @nn.compact
    def __call__(self, x, train):
        x = BatchNorm(name="stem")(x, use_running_average=not train)
        blocks = nn.scan(
            nn.remat(Block, static_argnums=(2,)),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=2,
        )
        return blocks(name="blocks")(x, train)[0]


def train_pass(patterns: tuple[str, ...]):
    """Returns output, statistics and parameter gradients of one training pass; the initial statistics are 0 and 1."""
    network = Network()
    variables = network.init(jax.random.key(0), X, False)

    @jax.jit
    def loss(params):
        with frozen_statistics(patterns):
            output, new = network.apply({**variables, "params": params}, X, True, mutable=["batch_stats"])
        return (output**3).sum(), (output, new["batch_stats"])

    gradient, (output, statistics) = jax.grad(loss, has_aux=True)(variables["params"])
    return output, statistics, gradient


def test_layers_without_a_match_use_and_update_batch_statistics():
    output, statistics, _ = train_pass(("stem/bias", "scale", "blocks/norm"))
    np.testing.assert_allclose(statistics["stem"]["mean"], 0.1 * X.mean((0, 1, 2)), rtol=1e-5)
    second = statistics["blocks"]["norm"]["var"][1]  # the input has variance 4, over 16 values
    np.testing.assert_allclose(second, 0.9 + 0.1 * 4 * 16 / 15, rtol=1e-4)
    assert float(jnp.abs(output.mean((0, 1, 2))).max()) < 1e-5


@pytest.mark.parametrize("pattern", ["stem/.*", "stem/scale"])
def test_a_frozen_layer_uses_its_running_statistics_while_blocks_train(pattern):
    _, statistics, _ = train_pass((pattern,))
    assert statistics["stem"]["mean"].tolist() == [0, 0, 0]
    assert statistics["stem"]["var"].tolist() == [1, 1, 1]
    first, second = statistics["blocks"]["norm"]["mean"]
    np.testing.assert_allclose(
        first, 0.1 * X.mean((0, 1, 2)), rtol=1e-5
    )  # with running statistics 0 and 1 the stem is the identity
    np.testing.assert_allclose(second, 0, atol=1e-6)


def test_scanned_and_rematerialised_blocks_are_frozen():
    output, statistics, gradient = train_pass(("blocks/.*",))
    assert not statistics["blocks"]["norm"]["mean"].any()
    assert (statistics["blocks"]["norm"]["var"] == 1).all()
    assert statistics["stem"]["mean"].all()
    normal = (X - X.mean((0, 1, 2))) / np.sqrt(X.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(output, 4 * normal, rtol=1e-3, atol=1e-4)
    # loss = Σ (4 · scale₁ · scale₂ · normal)³, with the scales of the two blocks
    expected = np.tile(3 * ((4 * normal) ** 3).sum((0, 1, 2)), (2, 1))
    np.testing.assert_allclose(gradient["blocks"]["norm"]["scale"], expected, rtol=1e-2, atol=1e-2)
