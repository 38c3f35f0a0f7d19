import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax import networks
from aggpose_jax.networks import stacking


@pytest.mark.parametrize(
    ("backend", "depth", "train", "expected"),
    [("cpu", 8, True, 8), ("cpu", 9, True, 1), ("cpu", 40, False, 40), ("gpu", 3, False, 1), ("tpu", 3, True, 1)],
)
def test_default_unroll_depends_on_the_platform_and_the_depth(monkeypatch, backend, depth, train, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert stacking.default_unroll(depth, train) == expected


def test_unstack_gives_each_block_arrays_of_its_own():
    kernel = np.arange(12.0).reshape(2, 3, 2)
    variables = {
        "params": {
            "encoder": {"stage1": {"blocks": {"ffn": {"kernel": kernel}}, "norm": {"scale": np.ones(2)}}},
            "layer1": {"blocks": {"kernel": kernel}},  # of a residual network
        }
    }
    params = stacking.unstack(variables)["params"]
    stage = params["encoder"]["stage1"]
    assert set(stage) == {"block0", "block1", "norm"}
    np.testing.assert_array_equal(stage["block1"]["ffn"]["kernel"], [[6, 7], [8, 9], [10, 11]])
    assert set(params["layer1"]) == {"blocks"}


@pytest.mark.parametrize(("network", "fields"), [("aggpose_tiny", {}), ("mit_pose_tiny", {"depths": (2, 1, 2, 1)})])
def test_a_network_computes_the_same_from_unstacked_variables(network, fields):
    model = networks.build(name=network, keypoints=3, drop_path=0.1, **fields)
    images = jnp.asarray(np.random.default_rng(0).standard_normal((1, 64, 64, 3)), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    unstacked = stacking.unstack(jax.tree.map(np.asarray, variables))
    apply = jax.jit(model.apply)
    expected, found = apply(variables, images), apply(unstacked, images)
    assert float(jnp.abs(expected).max()) > 0
    np.testing.assert_allclose(found, expected, atol=1e-6 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize(("backend", "names"), [("cpu", {"block0"}), ("gpu", {"blocks"})])
def test_only_on_cpu_the_blocks_are_apart_for_inference(monkeypatch, backend, names):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    variables = {"params": {"stage1": {"blocks": {"scale": np.ones((1, 2))}}}}
    assert set(stacking.for_inference(variables)["params"]["stage1"]) == names
