import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.networks import mit, stacking


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


def test_a_stage_computes_the_same_from_unstacked_variables():
    stage = mit.Stage(heads=1, reduction=2, drop_rates=(0.0, 0.0), name="stage1")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 4, 4, 8)), jnp.float32)
    params = jax.tree.map(np.asarray, jax.jit(stage.init)(jax.random.key(0), x)["params"])
    unstacked = stacking.unstack({"stage1": params})["stage1"]
    assert unstacked.keys() == {"block0", "block1", "norm"}
    apply = jax.jit(stage.apply)
    expected = apply({"params": params}, x)
    np.testing.assert_allclose(apply({"params": unstacked}, x), expected, atol=1e-6)


@pytest.mark.parametrize(("backend", "names"), [("cpu", {"block0"}), ("gpu", {"blocks"})])
def test_only_on_cpu_the_blocks_are_apart_for_inference(monkeypatch, backend, names):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    variables = {"params": {"stage1": {"blocks": {"scale": np.ones((1, 2))}}}}
    assert set(stacking.for_inference(variables)["params"]["stage1"]) == names
