"""Tests of the modules of the Mix Transformer against plain NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from aggpose_jax import networks
from aggpose_jax.networks import mit, transformer
from aggpose_jax.networks.layers import LayerNorm


def random_params(module: nn.Module, *args, seed: int = 0):
    """Returns standard normal values in the shapes of a module's parameters."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: module.init({"params": jax.random.key(0)}, *args))["params"]
    return jax.tree.map(lambda a: rng.standard_normal(a.shape).astype(np.float32), shapes)


def random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def numpy_linear(x, p):
    return x @ p["kernel"].astype(np.float64) + p["bias"]


def numpy_norm(x, p, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * p["scale"] + p["bias"]


def test_drop_path_rates_rise_linearly_over_all_blocks():
    rates = transformer.drop_path_rates((2, 1, 3), 0.5)
    np.testing.assert_allclose(np.concatenate(rates), [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert [len(stage) for stage in rates] == [2, 1, 3]
    assert transformer.drop_path_rates((1,), 0.3) == [(0.0,)]


def test_features_have_strides_4_to_32():
    model = mit.MixTransformer(*mit.VARIANTS["tiny"])
    features = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), jnp.zeros((2, 96, 64, 3)))[0])
    assert [f.shape for f in features] == [(2, 24, 16, 16), (2, 12, 8, 32), (2, 6, 4, 80), (2, 3, 2, 128)]


def test_mit_pose_heatmaps_are_float32_at_a_quarter_of_the_input_size():
    model = networks.build("mit_pose_tiny", keypoints=7, dtype=jnp.bfloat16)
    heatmaps = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), jnp.zeros((2, 96, 64, 3)))[0])
    assert (heatmaps.shape, heatmaps.dtype) == ((2, 24, 16, 7), jnp.float32)


@pytest.mark.parametrize(("kernel", "stride"), [(7, 4), (3, 2)])
def test_patch_embedding_is_a_padded_convolution_and_a_norm(kernel, stride):
    module, x = mit.PatchEmbed(6, kernel, stride), random(1, 8, 12, 3)
    p = random_params(module, x)
    padded = np.pad(x, ((0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2, (0, 0))).astype(np.float64)
    expected = np.zeros((1, 8 // stride, 12 // stride, 6))
    for y in range(expected.shape[1]):
        for z in range(expected.shape[2]):
            window = padded[0, y * stride : y * stride + kernel, z * stride : z * stride + kernel]
            expected[0, y, z] = np.tensordot(window, p["proj"]["kernel"], 3) + p["proj"]["bias"]
    expected = numpy_norm(expected, p["norm"], 1e-5)
    np.testing.assert_allclose(module.apply({"params": p}, x), expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_is_accurate_for_a_large_mean():
    x = 1e4 + random(2, 3, 3, 32)
    module = LayerNorm(1e-6, jnp.float32)
    p = random_params(module, x)
    expected = numpy_norm(x.astype(np.float64), p, 1e-6)
    np.testing.assert_allclose(module.apply({"params": p}, x), expected, atol=5e-3)


def test_norms_have_the_epsilons_of_the_published_networks():
    x = 1e-3 * random(1, 2, 2, 8)
    block = mit.Block(2, 2, train=False)
    embed = mit.PatchEmbed(8)
    epsilons = {}

    def record(call, args, kwargs, context):
        if isinstance(context.module, LayerNorm):
            epsilons["/".join(context.module.path)] = context.module.epsilon
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(lambda: block.init(jax.random.key(0), x, 0.0))
        jax.eval_shape(lambda: embed.init(jax.random.key(0), x))
    assert epsilons == {"norm1": 1e-6, "norm2": 1e-6, "attention/reduce/norm": 1e-5, "norm": 1e-5}


def test_sequence_reduction_is_a_strided_convolution_and_a_norm():
    module, x = mit.SequenceReduction(4), random(2, 8, 12, 6)
    p = random_params(module, x)
    reduced = lax.conv_general_dilated(x, p["kernel"], (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    expected = numpy_norm(np.asarray(reduced, np.float64) + p["bias"], p["norm"], 1e-5)
    np.testing.assert_allclose(module.apply({"params": p}, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", [1, 2])
def test_attention_equals_plain_loops(reduction):
    heads, c, (h, w) = 2, 6, (4, 2)
    module, x = mit.Attention(heads, reduction), random(2, h, w, c)
    p = random_params(module, x)
    size = c // heads
    expected = np.zeros(x.shape)
    for b, image in enumerate(x.astype(np.float64)):
        source = image
        if reduction > 1:
            tokens = [
                np.tensordot(image[y : y + 2, z : z + 2], p["reduce"]["kernel"], 3) + p["reduce"]["bias"]
                for y in range(0, h, 2)
                for z in range(0, w, 2)
            ]
            source = numpy_norm(np.array(tokens), p["reduce"]["norm"], 1e-5)
        q = numpy_linear(image, p["q"]).reshape(h * w, c)
        kv = numpy_linear(source, p["kv"]).reshape(-1, 2 * c)
        out = np.zeros((h * w, c))
        for head in range(heads):
            channels = slice(head * size, (head + 1) * size)
            for n in range(h * w):
                scores = np.array([q[n, channels] @ k[channels] for k in kv[:, :c]]) / math.sqrt(size)
                weights = np.exp(scores) / np.exp(scores).sum()
                out[n, channels] = weights @ kv[:, c:][:, channels]
        expected[b] = numpy_linear(out, p["proj"]).reshape(h, w, c)
    np.testing.assert_allclose(module.apply({"params": p}, x), expected, rtol=1e-4, atol=1e-4)


def test_mix_ffn_equals_plain_loops():
    module, x = mit.MixFFN(5, 4), random(1, 3, 4, 2)
    p = random_params(module, x)
    inner = np.pad(numpy_linear(x[0].astype(np.float64), p["fc1"]), ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((3, 4, 4))
    for y in range(3):
        for z in range(4):
            s = (inner[y : y + 3, z : z + 3] * p["depthwise_kernel"]).sum((0, 1)) + p["depthwise_bias"]
            gelu = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in s])
            expected[y, z] = numpy_linear(gelu, p["fc2"])
    np.testing.assert_allclose(module.apply({"params": p}, x)[0], expected, rtol=1e-4, atol=1e-5)


def constant_branches(module: nn.Module, x, first: float, second: float):
    """Returns parameters with which the attention of each block adds `first` and its Mix-FFN `second` to any input."""
    params = random_params(module, x, *([0.0] if isinstance(module, mit.Block) else []))
    block = params if isinstance(module, mit.Block) else params["blocks"]
    for layer, value in ((block["attention"]["proj"], first), (block["ffn"]["fc2"], second)):
        layer["kernel"][:] = 0
        layer["bias"][:] = value
    return params


def test_drop_path_drops_branches_per_example_and_rescales_the_others():
    x = random(64, 2, 1, 4)
    params = constant_branches(mit.Block(1, 1, train=False), x, 3.0, 30.0)

    def added(train):
        rng = {"drop_path": jax.random.key(0)}
        block = mit.Block(1, 1, train=train)
        return np.asarray(block.apply({"params": params}, x, jnp.float32(0.25), rngs=rng)) - x

    np.testing.assert_allclose(added(train=False), 33.0, rtol=1e-5)
    trained = added(train=True).reshape(64, -1)
    np.testing.assert_allclose(trained, trained[:, :1].repeat(8, axis=1), rtol=1e-5)  # one decision per example
    values, counts = np.unique(trained[:, 0].round(3), return_counts=True)
    np.testing.assert_allclose(values, [0, 4, 40, 44], atol=1e-3)  # 3 / 0.75 and 30 / 0.75
    assert counts.argmax() == 3
    assert counts[3] < 64


def test_blocks_drop_independently_at_their_own_rates():
    x = random(256, 1, 1, 4)
    stages = {rates: mit.Stage(1, 1, rates) for rates in ((0.5, 0.5), (0.0, 0.0), (0.0, 0.5))}
    params = constant_branches(stages[0.5, 0.5], x, 0.0, 0.0)
    params["blocks"]["attention"]["proj"]["bias"][:] = [[1, 0, 0, 0], [0, 1, 0, 0]]
    params["norm"] = {"scale": np.ones(4, np.float32), "bias": np.zeros(4, np.float32)}
    x = np.zeros_like(x)

    def distinct_outputs(rates):
        rng = {"drop_path": jax.random.key(3)}
        y = stages[rates].apply({"params": params}, x, train=True, rngs=rng)
        return len(np.unique(np.asarray(y).round(3)[:, 0, 0], axis=0))

    assert distinct_outputs((0.5, 0.5)) == 4  # Each of the two blocks is dropped or not.
    assert distinct_outputs((0.0, 0.5)) == 2
    assert distinct_outputs((0.0, 0.0)) == 1


def test_a_stage_without_blocks_is_a_norm():
    stage, x = mit.Stage(2, 2, ()), random(2, 4, 4, 8)
    p = random_params(stage, x)
    assert p.keys() == {"norm"}
    np.testing.assert_allclose(stage.apply({"params": p}, x), numpy_norm(x, p["norm"], 1e-6), rtol=1e-4, atol=1e-5)


RATES = (0.0, 0.3, 0.6)


@pytest.fixture(scope="module")
def stage_params():
    return random_params(mit.Stage(2, 2, RATES), random(3, 4, 4, 8))


def run_stage(params, rates=RATES, train=True, **options):
    x = random(3, 4, 4, 8)
    return mit.Stage(2, 2, rates, **options).apply({"params": params}, x, train, rngs={"drop_path": jax.random.key(5)})


@pytest.fixture(scope="module")
def stage_gradient(stage_params):
    """A function from options of a stage of three blocks to its gradient and its output in training."""
    direction = random(3, 4, 4, 8, seed=2)

    def run(**options):
        def loss(params):
            y = run_stage(params, **options)
            return (y * direction).sum(), y

        return jax.jit(jax.grad(loss, has_aux=True))(stage_params)

    return run


def test_remat_and_unroll_do_not_change_output_and_gradient(stage_gradient):
    both, neither = stage_gradient(remat=True, unroll=2), stage_gradient(unroll=1)
    for actual, expected in zip(jax.tree.leaves(both), jax.tree.leaves(neither), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)


def test_training_without_drop_path_equals_evaluation(stage_params):
    trained = jax.jit(lambda p: run_stage(p, (0.0,) * 3, train=True))(stage_params)
    evaluated = jax.jit(lambda p: run_stage(p, RATES, train=False))(stage_params)
    np.testing.assert_allclose(trained, evaluated, rtol=1e-5, atol=1e-6)


def test_stage_in_bfloat16_is_close_to_float32(stage_params):
    y, expected = (
        jax.jit(lambda p, dtype=dtype: run_stage(p, train=False, dtype=dtype))(stage_params)
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    assert y.dtype == jnp.bfloat16
    assert np.linalg.norm(y.astype(np.float32) - expected) < 0.05 * np.linalg.norm(expected)


def test_parameters_are_initialised_with_the_published_distributions():
    block, patches = mit.Block(2, 4, train=False), mit.PatchEmbed(32, 7, 4)
    params = jax.jit(block.init)(jax.random.key(0), jnp.zeros((1, 4, 4, 64)), 0.0)["params"]
    deviations = {
        "reduction": (params["attention"]["reduce"]["kernel"], math.sqrt(2 / (4 * 4 * 64))),
        "depthwise": (params["ffn"]["depthwise_kernel"], math.sqrt(2 / 9)),
    }
    for kernel, deviation in deviations.values():
        assert float(kernel.std()) == pytest.approx(deviation, rel=0.05)
    linear = params["attention"]["kv"]["kernel"]
    assert 0.017 < float(linear.std()) < 0.021
    embed = jax.jit(patches.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    assert float(embed["proj"]["kernel"].std()) == pytest.approx(math.sqrt(2 / (49 * 32)), rel=0.05)
    constants = [params["norm1"], params["attention"]["reduce"]["norm"], embed["norm"]]
    assert all((norm["scale"] == 1).all() and (norm["bias"] == 0).all() for norm in constants)
    biases = [params["attention"]["q"], params["ffn"]["fc1"], params["attention"]["reduce"], embed["proj"]]
    assert not any(layer["bias"].any() for layer in biases)
    assert not params["ffn"]["depthwise_bias"].any()


def test_a_deep_stage_on_cpu_is_a_loop_in_training_only():
    stage = mit.Stage(1, 1, (0.0,) * 9)
    x, rngs = jnp.zeros((1, 2, 2, 4)), {"drop_path": jax.random.key(0)}
    params = jax.eval_shape(stage.init, jax.random.key(0), x)
    assert "unroll=1\n" in str(jax.make_jaxpr(lambda p: stage.apply(p, x, True, rngs=rngs))(params))
    assert "unroll=9\n" in str(jax.make_jaxpr(lambda p: stage.apply(p, x, False))(params))
