"""Tests of AggPose: equality with reference vectors, and the effects of its options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from reference import abstract_params, aggpose_image, aggpose_network, read_aggpose

from aggpose_jax import networks
from aggpose_jax.networks.aggpose import VARIANTS, AggPose
from aggpose_jax.networks.mit import Stage
from aggpose_jax.weights.state_dicts import to_tensors

WIDTHS = (4, 8, 10, 16)
DEPTHS = ((1, 1, 1, 1), (1, 1, 1), (1, 1), (1,))


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def tiny() -> dict:
    """The reference of the variant tiny, and the heatmaps, loss and gradient of this implementation."""
    reference = read_aggpose("tiny")
    model, table, params = aggpose_network("tiny", reference)
    image, target = aggpose_image(reference), reference["target"].transpose(0, 2, 3, 1)
    weight = reference["target_weight"][:, None, None, :, 0]

    def loss(params):
        heatmaps = model.apply({"params": params}, image)
        return 0.5 * jnp.mean((weight * (heatmaps - target)) ** 2), heatmaps

    (value, heatmaps), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    actual = {
        "params": params,
        "heatmaps": heatmaps,
        "loss": value,
        "gradient": to_tensors(table, {"params": gradient}),
    }
    return reference | {"loss_reference": reference["loss"]} | actual


def test_tiny_heatmaps_and_loss_equal_the_reference(tiny):
    expected = tiny["heatmaps_nchw"].transpose(0, 2, 3, 1)
    assert tiny["heatmaps"].dtype == jnp.float32
    assert relative_error(np.asarray(tiny["heatmaps"]), expected) <= 1e-5
    assert float(tiny["loss"]) == pytest.approx(float(tiny["loss_reference"]), rel=1e-6)


def test_every_tiny_gradient_equals_the_reference(tiny):
    names = [str(name) for name in tiny["grad_names"]]
    assert len(names) == 592
    assert set(names) == tiny["gradient"].keys()
    norms = [np.linalg.norm(tiny["gradient"][name].astype(np.float64)) for name in names]
    np.testing.assert_allclose(norms, tiny["grad_norms"], rtol=1e-4)


@pytest.mark.parametrize("name", ["s", pytest.param("l", marks=pytest.mark.slow)])
def test_heatmaps_of_published_variants_equal_the_reference(name):
    reference = read_aggpose(name)
    model, _, params = aggpose_network(name, reference)
    image = aggpose_image(reference)
    heatmaps = jax.jit(lambda params, image: model.apply({"params": params}, image))(params, image)
    assert relative_error(np.asarray(heatmaps), reference["heatmaps_nchw"].transpose(0, 2, 3, 1)) <= 1e-5


def test_depths_of_published_variants_equal_the_reference():
    for name in ("s", "l"):
        model = networks.build(f"aggpose_{name}", keypoints=17)
        assert [depths[0] for depths in model.depths] == read_aggpose(name)["depths"].tolist()
        assert [depths[1:] for depths in model.depths] == [(3, 3, 3), (3, 3), (3,), ()]
        assert list(model.widths) == read_aggpose(name)["embed_dims"].tolist()


@pytest.mark.parametrize("name", ["l", "s", "tiny", "demo"])
def test_stages_have_the_depths_of_their_variant(name):
    _, depths = VARIANTS[name]
    params = abstract_params(networks.build(f"aggpose_{name}", keypoints=17))
    stages = {
        f"stage{i}_{i + later}": depth for i, stream in enumerate(depths, 1) for later, depth in enumerate(stream)
    }
    blocks = {stage: params[stage].get("blocks") for stage in stages}
    assert {stage: b["norm1"]["scale"].shape[0] if b else 0 for stage, b in blocks.items()} == stages


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(tiny):
    model, *_ = aggpose_network("tiny", tiny, dtype=jnp.bfloat16)
    image = aggpose_image(tiny)
    heatmaps = jax.jit(lambda params: model.apply({"params": params}, image))(tiny["params"])
    assert heatmaps.dtype == jnp.float32
    error = relative_error(np.asarray(heatmaps), np.asarray(tiny["heatmaps"]))
    assert 1e-4 < error < 0.05  # An error below 1e-4 would mean that the network ran in float32.


def test_every_product_runs_in_the_given_dtype():
    model = AggPose(5, WIDTHS, DEPTHS, dtype=jnp.bfloat16)
    params = abstract_params(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    jaxpr = jax.make_jaxpr(lambda p: model.apply({"params": p}, jnp.zeros((1, 32, 32, 3))))(params)
    products = [line for line in str(jaxpr).splitlines() if "dot_general[" in line or "conv_general_dilated[" in line]
    assert len(products) > 100
    assert all(":bf16[" in line for line in products)
    assert jaxpr.out_avals[0].dtype == jnp.float32


@pytest.mark.parametrize(
    ("fusion", "size"), [("released", (32, 32)), ("released", (224, 160)), ("paper", (32, 32)), ("paper", (128, 96))]
)
def test_heatmaps_have_a_quarter_of_the_input_size(fusion, size):
    model = AggPose(5, WIDTHS, DEPTHS, fusion=fusion)
    params = abstract_params(model)  # initialised with another input size, on which parameters do not depend
    image = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    heatmaps = jax.eval_shape(lambda params, image: model.apply({"params": params}, image), params, image)
    assert heatmaps.shape == (2, size[0] // 4, size[1] // 4, 5)


def test_only_the_paper_fusion_has_ffns_before_downsampling():
    released, paper = (abstract_params(AggPose(5, WIDTHS, DEPTHS, fusion=fusion)) for fusion in ("released", "paper"))
    assert paper.keys() - released.keys() == {f"down_ffn{i}_{c}" for c in (2, 3, 4) for i in range(2, c + 1)}
    assert released.keys() <= paper.keys()
    assert paper["down_ffn3_4"]["fc2"]["kernel"].shape == (WIDTHS[1], WIDTHS[1])  # C_i → C_i → C_i of the finer stream


class Fusion(AggPose):
    """The fusion of one column without the rest of the network."""

    column: int = 3

    @nn.compact
    def __call__(self, streams):
        return self.fuse(streams, self.column)


@pytest.fixture(scope="module", params=["released", "paper"])
def fusion(request):
    """The kind of fusion, the compiled fusion of column 3, random parameters, and streams to fuse."""
    rng = np.random.default_rng(0)
    streams = [rng.standard_normal((1, 16 >> i, 16 >> i, WIDTHS[i])).astype(np.float32) for i in range(3)]
    module = Fusion(5, WIDTHS, DEPTHS, fusion=request.param)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), streams))["params"]
    params = jax.tree.map(lambda a: rng.standard_normal(a.shape).astype(np.float32), shapes)
    return request.param, jax.jit(lambda params, streams: module.apply({"params": params}, streams)), params, streams


def with_zero_ffns(params: dict, prefix: str) -> dict:
    """Returns the parameters with zeros in the last layer of each Mix-FFN whose name begins with a prefix."""
    last = {k: jax.tree.map(np.zeros_like, v["fc2"]) for k, v in params.items() if k.startswith(prefix)}
    return params | {name: params[name] | {"fc2": zero} for name, zero in last.items()}


def test_only_the_paper_fusion_has_a_residual_connection(fusion):
    kind, fuse, params, streams = fusion
    for fused, own in zip(fuse(with_zero_ffns(params, "merge"), streams), streams, strict=True):
        np.testing.assert_array_equal(fused, own if kind == "paper" else np.zeros_like(own))


def test_only_the_paper_fusion_passes_finer_streams_through_an_ffn(fusion):
    kind, fuse, params, streams = fusion
    changed = [streams[0], -streams[1], streams[2]]  # Stream 2 is the finer neighbour of stream 3.
    before, after = (fuse(with_zero_ffns(params, "down_ffn"), s)[2] for s in (streams, changed))
    assert np.allclose(before, after) == (kind == "paper")


def test_fusion_of_each_stream_reads_it_and_its_neighbours_before_fusion(fusion):
    _, fuse, params, streams = fusion
    before = fuse(params, streams)
    for j in range(3):
        changed = [-stream if i == j else stream for i, stream in enumerate(streams)]
        after = fuse(params, changed)
        affected = [not np.allclose(a, b) for a, b in zip(after, before, strict=True)]
        assert affected == [abs(i - j) <= 1 for i in range(3)]


def test_stages_use_remat_and_unroll_of_the_network():
    model = AggPose(5, WIDTHS, ((2, 2, 2, 2), (2, 2, 2), (2, 2), (2,)), remat=True, unroll=2)
    jaxpr = str(jax.make_jaxpr(lambda p: model.apply({"params": p}, jnp.zeros((1, 32, 32, 3))))(abstract_params(model)))
    assert jaxpr.count("unroll=2") == 10  # stages
    assert jaxpr.count("checkpoint") + jaxpr.count("remat") >= 10


def test_later_stages_reuse_the_first_drop_rates_of_their_stream():
    drop_rates = {}

    def record(call, args, kwargs, context):
        if isinstance(context.module, Stage):
            drop_rates[context.module.name] = context.module.drop_rates
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        abstract_params(networks.build("aggpose_s", keypoints=17, drop_path=0.15))
    rates = np.linspace(0, 0.15, 3 + 4 + 6 + 3)
    first, depths = (0, 3, 7, 13), ((3, 3, 3, 3), (4, 3, 3), (6, 3), (3,))
    assert len(drop_rates) == 10
    for i in range(4):
        for later, depth in enumerate(depths[i]):
            np.testing.assert_allclose(drop_rates[f"stage{i + 1}_{i + 1 + later}"], rates[first[i] : first[i] + depth])
