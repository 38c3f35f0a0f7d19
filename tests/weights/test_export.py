"""Tests that exported programs return the heatmaps of the network for any number of images."""

import collections
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from reference import named_weight
from trees import shapes, shapes_of, variable_shapes, zeros

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks import tokenpose
from aggpose_jax.weights import export
from aggpose_jax.weights.state_dicts import read_state_dict, write_state_dict

SIZE = (64, 96)
COMPARED = ["simple_baseline_tiny", "hrnet_tiny", "hrformer_tiny", "tokenpose_tiny", "swin_pose_tiny"]
pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def network():
    """A network with two blocks in a stage, its random variables, and pairs of images and heatmaps by batch size."""
    pytest.importorskip("flatbuffers")  # Without the extras, no test needs the heatmaps.
    depths = ((2, 1, 1, 1), (1, 1, 1), (1, 1), (1,))
    model = networks.build("aggpose_tiny", keypoints=3, depths=depths)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: (rng.standard_normal(a.shape) / 4).astype(np.float32), shapes_of(model))
    images = rng.standard_normal((3, 3, *SIZE)).astype(np.float32)
    heatmaps = heatmaps_in_jax(model, {"params": params}, images)
    cases = {n: (images[:n], heatmaps[:n]) for n in (1, 3)}  # Images do not change the heatmaps of each other.
    return model, {"params": params}, cases


def heatmaps_in_jax(model, variables, images) -> np.ndarray:
    """Returns heatmaps [N, K, H/4, W/4] from images [N, 3, H, W]."""
    # Variables are an argument, since XLA spends time on constants.
    heatmaps = jax.jit(lambda variables, images: export.channels_first(model, variables)(images))
    return np.asarray(heatmaps(variables, images))


def input_size(model) -> tuple[int, int]:
    """Returns the height and width in pixels of small images that a network accepts."""
    return tokenpose.input_size(model) if isinstance(model, tokenpose.TokenPose) else (64, 64)


def assert_near(actual, expected) -> None:
    assert actual.shape == expected.shape
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-4, rtol=0)


def test_stablehlo_returns_the_heatmaps(network):
    model, variables, cases = network
    program = jax.export.deserialize(export.to_stablehlo(model, variables, SIZE))
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert str(program.in_avals[0].shape) == f"(N, 3, {SIZE[0]}, {SIZE[1]})"
    images, expected = cases[3]  # The program is the same for every N, and would be compiled again for another one.
    assert_near(program.call(images), expected)


def test_onnx_returns_the_heatmaps(network):
    pytest.importorskip("jax2onnx")
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    before = lax.platform_dependent, jnp.shape
    model, variables, cases = network
    program = export.to_onnx(model, variables, SIZE)
    assert (lax.platform_dependent, jnp.shape) == before
    nodes = collections.Counter(node.op_type for node in onnx.load_from_string(program).graph.node)
    assert (nodes["Loop"], nodes["Erf"], nodes["ReduceSum"]) == (0, 0, 0)
    assert nodes["Gelu"] == 11 + 20  # of blocks and of fusions
    assert nodes["LayerNormalization"] == 32 + 10 + 10  # of blocks, stages and embeddings
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Only errors are logged.
    session = onnxruntime.InferenceSession(program, options)
    assert [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())] == ["images", "heatmaps"]
    for images, expected in cases.values():
        assert_near(session.run(["heatmaps"], {"images": images})[0], expected)


@pytest.mark.parametrize("name", COMPARED)
def test_onnx_of_the_comparison_networks_returns_their_heatmaps(name):
    pytest.importorskip("jax2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, rng = networks.build(name, keypoints=3), np.random.default_rng(0)
    named = write_state_dict(model, zeros(variable_shapes(model)))
    fixed = ("relative_position_index", "pos_embedding", "num_batches_tracked")
    named = {key: t if key.endswith(fixed) else named_weight(key, t.shape) for key, t in named.items()}
    variables = read_state_dict(named).variables
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Only errors are logged.
    size = input_size(model)
    session = onnxruntime.InferenceSession(export.to_onnx(model, variables, size), options)
    images = rng.standard_normal((3, 3, *size)).astype(np.float32)
    expected = heatmaps_in_jax(model, variables, images)
    deviation = np.linalg.norm(expected - expected.mean((2, 3), keepdims=True))
    assert 0 < deviation < 1e6
    for n in (1, 3):
        (heatmaps,) = session.run(None, {"images": images[:n]})
        assert np.linalg.norm(heatmaps - expected[:n]) <= 1e-4 * deviation


@pytest.mark.parametrize("name", ["mit_pose_tiny", "transpose_tiny", *COMPARED])
def test_stablehlo_of_other_networks_accepts_any_number_of_images(name):
    pytest.importorskip("flatbuffers")
    model = networks.build(name, keypoints=3)
    height, width = input_size(model)
    program = export.to_stablehlo(model, zeros(variable_shapes(model)), (height, width))
    (heatmaps,) = jax.export.deserialize(program).out_avals
    assert str(heatmaps.shape) == f"(N, 3, {height // 4}, {width // 4})"


@pytest.mark.parametrize(("exporter", "module"), [(export.to_stablehlo, "flatbuffers"), (export.to_onnx, "jax2onnx")])
def test_the_error_names_the_package_that_is_not_installed(exporter, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"{module}.*pip install {module}"):
        exporter(networks.build("aggpose_tiny", keypoints=3), {"params": shapes("aggpose_tiny", 3)}, SIZE)
