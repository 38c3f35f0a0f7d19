"""Tests of batch normalisation against numbers computed by hand, in loops over blocks, and against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aggpose_jax.networks.batch_norm import BATCH_NORM, BatchNorm, batch_counters
from aggpose_jax.networks.weight_table import module_entries, stacked_entries

# Two channels of four pixels. The first has mean 3, biased variance 3.5 and unbiased variance 14/3; the second is the
# first times −10.
PIXELS = np.array([1.0, 2.0, 3.0, 6.0], np.float32)
IMAGES = np.stack([PIXELS, -10 * PIXELS], axis=-1).reshape(2, 1, 2, 2)


def variables(mean=(0.0, 0.0), var=(1.0, 1.0), dtype=np.float32) -> dict:
    params = {"scale": np.array([2.0, 1.0], dtype), "bias": np.array([0.5, 0.0], dtype)}
    return {"params": params, "batch_stats": {"mean": np.array(mean, dtype), "var": np.array(var, dtype)}}


def train(variables: dict, images: np.ndarray) -> tuple[np.ndarray, dict]:
    """Returns the normalised batch and the updated running statistics."""
    y, updated = BatchNorm().apply(variables, images, use_running_average=False, mutable=["batch_stats"])
    return np.asarray(y), updated["batch_stats"]


def test_a_batch_is_normalised_with_its_mean_and_biased_variance():
    y, _ = train(variables(), IMAGES)
    expected = 2 * (PIXELS - 3) / np.sqrt(3.5 + 1e-5) + 0.5
    np.testing.assert_allclose(y[..., 0].ravel(), expected, rtol=1e-6)
    np.testing.assert_allclose(y[..., 1].ravel(), -(PIXELS - 3) * 10 / np.sqrt(350 + 1e-5), rtol=1e-6)


def test_running_statistics_are_updated_by_a_tenth_with_the_mean_and_the_unbiased_variance():
    _, stats = train(variables(mean=(1.0, 0.0), var=(2.0, 1.0)), IMAGES)
    np.testing.assert_allclose(stats["mean"], [0.9 * 1 + 0.1 * 3, -0.1 * 30], rtol=1e-6)
    np.testing.assert_allclose(stats["var"], [0.9 * 2 + 0.1 * 14 / 3, 0.9 * 1 + 0.1 * 1400 / 3], rtol=1e-6)


def test_running_averages_are_used_and_not_changed_in_evaluation():
    given = variables(mean=(1.0, 0.0), var=(4.0, 1.0))
    y, updated = BatchNorm().apply(given, IMAGES, use_running_average=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y[..., 0].ravel(), 2 * (PIXELS - 1) / np.sqrt(4 + 1e-5) + 0.5, rtol=1e-6)
    assert jax.tree.all(jax.tree.map(np.array_equal, updated["batch_stats"], given["batch_stats"]))
    immutable = BatchNorm().apply(given, IMAGES, use_running_average=True)
    np.testing.assert_array_equal(immutable, y)


@pytest.mark.parametrize("use_running_average", [False, True])
def test_initialisation_does_not_depend_on_the_batch(use_running_average):
    new = BatchNorm().init(jax.random.key(0), IMAGES, use_running_average)
    expected = {"params": {"scale": 1, "bias": 0}, "batch_stats": {"mean": 0, "var": 1}}
    expected = jax.tree.map(lambda value: np.full(2, value, np.float32), expected)
    assert jax.tree.structure(new) == jax.tree.structure(expected)
    assert jax.tree.all(jax.tree.map(np.array_equal, new, expected))


def test_the_variance_is_accurate_for_a_large_mean():
    images = np.full((2, 2, 2, 2), 1e4, np.float32) + np.array([-1, 1], np.float32)[:, None, None, None]
    y, stats = train(variables(), images)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * 8 / 7, rtol=1e-6)
    np.testing.assert_allclose(y[..., 1], images[..., 1] - 1e4, rtol=1e-4)


def test_the_variance_of_one_pixel_is_zero():
    y, stats = train(variables(), IMAGES[:1, :, :1])
    np.testing.assert_allclose(y.ravel(), [0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.9, rtol=1e-6)


def test_half_precision_is_normalised_with_float32_statistics():
    images = jnp.asarray(IMAGES + 1000, jnp.bfloat16)  # bfloat16 has 8 significant bits.
    y, stats = train(variables(), images)
    assert y.dtype == jnp.bfloat16
    assert stats["mean"].dtype == stats["var"].dtype == jnp.float32
    np.testing.assert_allclose(stats["mean"], np.asarray(images, np.float32).mean((0, 1, 2)) / 10, rtol=1e-6)


def test_double_precision_is_preserved():
    with jax.enable_x64(True):
        y, stats = train(variables(dtype=np.float64), IMAGES.astype(np.float64) / 3)
        assert {y.dtype, stats["mean"].dtype, stats["var"].dtype} == {np.dtype(np.float64)}
        np.testing.assert_allclose(stats["var"], [0.9 + 1.4 / 27, 0.9 + 140 / 27], rtol=1e-14)
        _, single = train(variables(), IMAGES.astype(np.float64))
    assert single["mean"].dtype == np.float32  # The dtype of a running statistic stays.


class Blocks(nn.Module):
    """Three BatchNorms, each followed by a sine, in a loop."""

    remat: bool

    @nn.compact
    def __call__(self, x, train):
        loop = nn.scan(
            lambda norm, x, _: (jnp.sin(norm(x, not train)), None),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True},
            length=3,
        )
        return loop((nn.remat(BatchNorm, static_argnums=(2,)) if self.remat else BatchNorm)(name="blocks"), x, None)[0]


@pytest.mark.parametrize("remat", [False, True])
def test_a_loop_over_stacked_blocks_equals_separate_blocks(remat):
    model, rng = Blocks(remat), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), IMAGES, False))
    given = jax.tree.map(lambda a: rng.uniform(0.5, 2, a.shape).astype(np.float32), shapes)
    assert given["batch_stats"]["blocks"]["mean"].shape == (3, 2)

    def loss(params):
        y, updated = model.apply(given | {"params": params}, IMAGES, True, mutable=["batch_stats"])
        return y.sum(), updated["batch_stats"]["blocks"]

    def loss_unrolled(params):
        y, stats = IMAGES, []
        for i in range(3):
            block = {"params": params["blocks"], "batch_stats": given["batch_stats"]["blocks"]}
            y, updated = BatchNorm().apply(jax.tree.map(lambda a, i=i: a[i], block), y, False, mutable=["batch_stats"])
            y, stats = jnp.sin(y), [*stats, updated["batch_stats"]]
        return y.sum(), jax.tree.map(lambda *leaves: jnp.stack(leaves), *stats)

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(given["params"])
    (expected, expected_stats), expected_gradient = jax.value_and_grad(loss_unrolled, has_aux=True)(given["params"])
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    for actual, desired in ((stats, expected_stats), (gradient, expected_gradient)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, desired)


@pytest.mark.extras
def test_a_training_step_equals_pytorch(torch):
    rng = np.random.default_rng(0)
    images, weight = (rng.standard_normal((2, 3, 4, 2)).astype(np.float32) for _ in range(2))
    reference = torch.nn.BatchNorm2d(2)
    given = variables(mean=(0.3, -2.0), var=(0.5, 3.0))
    state = {"weight": given["params"]["scale"], "bias": given["params"]["bias"]}
    state |= {f"running_{name}": value for name, value in given["batch_stats"].items()}
    reference.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()}, strict=False)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2)).requires_grad_()
    (reference(x) * torch.from_numpy(weight.transpose(0, 3, 1, 2))).sum().backward()

    def loss(params, images):
        y, updated = BatchNorm().apply(given | {"params": params}, images, False, mutable=["batch_stats"])
        return (y * weight).sum(), updated["batch_stats"]

    gradients, stats = jax.grad(loss, argnums=(0, 1), has_aux=True)(given["params"], images)
    np.testing.assert_allclose(stats["mean"], reference.running_mean, rtol=1e-5)
    np.testing.assert_allclose(stats["var"], reference.running_var, rtol=1e-5)
    np.testing.assert_allclose(gradients[0]["scale"], reference.weight.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradients[0]["bias"], reference.bias.grad, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradients[1], x.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5)


def test_table_entries_have_the_names_of_pytorch():
    entries = module_entries("stem/norm", "bn1", BATCH_NORM) + stacked_entries("blocks", ["a.0", "a.1"], BATCH_NORM)
    assert {entry.path: entry.names for entry in entries} == {
        ("params", "stem", "norm", "scale"): ("bn1.weight",),
        ("params", "stem", "norm", "bias"): ("bn1.bias",),
        ("batch_stats", "stem", "norm", "mean"): ("bn1.running_mean",),
        ("batch_stats", "stem", "norm", "var"): ("bn1.running_var",),
        ("params", "blocks", "scale"): ("a.0.weight", "a.1.weight"),
        ("params", "blocks", "bias"): ("a.0.bias", "a.1.bias"),
        ("batch_stats", "blocks", "mean"): ("a.0.running_mean", "a.1.running_mean"),
        ("batch_stats", "blocks", "var"): ("a.0.running_var", "a.1.running_var"),
    }
    counters = batch_counters(entries)
    assert [counter.name for counter in counters] == [f"{n}.num_batches_tracked" for n in ("bn1", "a.0", "a.1")]
    assert {(counter.value.dtype, counter.value.shape) for counter in counters} == {(np.dtype(np.int64), ())}
