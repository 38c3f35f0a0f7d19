"""Tests of SimpleBaseline: equality with reference vectors, and its state dicts in all published forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from published import assert_same, heatmap_error, published
from reference import manifest
from trees import blank_variables, variable_shapes

from aggpose_jax import networks
from aggpose_jax.errors import UserError
from aggpose_jax.networks.simple_baseline import Layer, SimpleBaseline
from aggpose_jax.weights.state_dicts import Weights, read_state_dict, write_state_dict
from aggpose_jax.weights.transfer import transfer

SIZES = {"depths": (2, 1, 3, 1), "width": 8, "head_width": 32}  # of the variant "tiny"
FORMS = {  # name: the prefixes of the names of the encoder and of the head
    "SimpleBaseline": ("", ""),
    "SimpleBaseline of mmpose": ("backbone.", "head."),
    "SimpleBaseline of mmpose 0": ("backbone.", "keypoint_head."),
}


def in_form(tensors: dict, form: str) -> dict:
    encoder, head = FORMS[form]
    head_layers = ("deconv_layers.", "final_layer.")
    return {f"{head if name.startswith(head_layers) else encoder}{name}": tensor for name, tensor in tensors.items()}


def random_variables(model: SimpleBaseline) -> dict:
    """Returns random variables between 0.1 and 1, so that variances are positive."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: rng.uniform(0.1, 1, a.shape).astype(np.float32), variable_shapes(model))


def tiny_tensors() -> dict[str, np.ndarray]:
    model = networks.build("simple_baseline_tiny", keypoints=17)
    return write_state_dict(model, random_variables(model))


def new_weights(keypoints: int) -> Weights:
    """Returns a network with zeros as variables, to be initialised from another one."""
    name = "simple_baseline_tiny"
    model = networks.build(name, keypoints=keypoints)
    return Weights(networks.find(name), model, blank_variables(name, keypoints))


@pytest.mark.slow
def test_published_heatmaps_equal_the_reference():
    assert heatmap_error("resnet152") <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_published_state_dicts_are_read_and_written_bit_for_bit(form):
    tensors = in_form(published("resnet152"), form)
    found = read_state_dict(tensors)
    assert found.model == networks.build("simple_baseline_152", keypoints=17)
    assert_same(write_state_dict(found.model, found.variables, form), tensors)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_and_written_bit_for_bit(form):
    tensors = in_form(tiny_tensors(), form)
    found = read_state_dict(tensors)
    assert found.model == networks.build("simple_baseline_tiny", keypoints=17)
    jax.tree.map(np.testing.assert_array_equal, found.variables, random_variables(found.model))
    assert_same(write_state_dict(found.model, found.variables, form), tensors)


def test_names_and_shapes_equal_those_of_the_published_file():
    model = networks.build("simple_baseline_152", keypoints=17)
    tensors = write_state_dict(model, blank_variables("simple_baseline_152"))
    assert {name: tensor.shape for name, tensor in tensors.items()} == manifest("resnet152")


def test_num_batches_tracked_may_be_missing():
    tensors = tiny_tensors()
    without = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(without) < len(tensors)
    found = read_state_dict(without)
    assert_same(write_state_dict(found.model, found.variables), tensors)


def test_missing_batch_statistics_are_listed():
    tensors = tiny_tensors()
    missing = ["bn1.running_mean", "deconv_layers.4.running_var", "layer3.2.bn1.running_mean"]
    with pytest.raises(UserError) as raised:
        read_state_dict({name: tensor for name, tensor in tensors.items() if name not in missing})
    assert str(raised.value).endswith(f"missing: {', '.join(missing)}")


def test_imagenet_weights_initialise_the_encoder_only():
    tensors = {name: tensor for name, tensor in tiny_tensors().items() if not name.startswith(("deconv", "final"))}
    source = read_state_dict(tensors | {"fc.weight": np.zeros((1000, 256)), "fc.bias": np.zeros(1000)})
    variables, report = transfer(new_weights(21), source)
    source_variables = random_variables(networks.build("simple_baseline_tiny", keypoints=17))
    transferred, expected = flatten_dict(variables, sep="/"), flatten_dict(source_variables, sep="/")
    for path, array in transferred.items():
        is_encoder = path.split("/")[1].startswith(("conv1", "bn1", "layer"))
        np.testing.assert_array_equal(array, expected[path] if is_encoder else np.zeros(array.shape))
    assert sorted(report.new) == [*(f"deconv{i}{end}" for i in (1, 2, 3) for end in ("", "_bn")), "head"]


def test_only_the_head_is_new_if_the_number_of_keypoints_differs():
    _, report = transfer(new_weights(21), read_state_dict(tiny_tensors()))
    assert report.new == ["head"]
    assert report.keypoints == (17, 21)


def test_training_updates_running_statistics_and_evaluation_uses_them():
    model = SimpleBaseline(keypoints=3, **SIZES)
    variables, images = (
        random_variables(model),
        np.random.default_rng(1).standard_normal((2, 32, 64, 3)).astype(np.float32),
    )
    train = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    heatmaps, updated = train(variables, images)
    assert heatmaps.shape == (2, 8, 16, 3)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), updated["batch_stats"], variables["batch_stats"])
    assert jax.tree.all(changed)
    evaluate = jax.jit(model.apply)
    before, after = evaluate(variables, images), evaluate(variables | updated, images)
    assert not np.allclose(before, after)
    other = np.concatenate([images[:1], -images[1:]])
    # In evaluation, an image does not depend on the rest of the batch.
    np.testing.assert_allclose(evaluate(variables, other)[0], before[0], rtol=1e-4)


def test_remat_and_unroll_do_not_change_gradient_and_statistics():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 8, 8, 8))

    def step(variables, **options):
        layer = Layer(4, 3, 2, dtype=jnp.float64, **options)

        def loss(params):
            y, updated = layer.apply({**variables, "params": params}, x, True, mutable=["batch_stats"])
            return jnp.square(y - 1).sum(), updated

        return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

    with jax.enable_x64(True):
        shapes = jax.eval_shape(lambda: Layer(4, 3, 2).init(jax.random.key(0), x, False))
        variables = jax.tree.map(lambda a: rng.uniform(0.1, 1, a.shape), shapes)
        plain = step(variables)
        for options in ({"remat": True}, {"unroll": 1}):
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), step(variables, **options), plain
            )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_every_product_runs_in_the_given_dtype(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        model = SimpleBaseline(keypoints=3, **SIZES, dtype=dtype)
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
        assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {np.dtype(np.float32)}
        jaxpr = jax.make_jaxpr(lambda v: model.apply(v, jnp.zeros((1, 32, 32, 3))))(shapes)
    products = [line for line in str(jaxpr).splitlines() if "dot_general[" in line or "conv_general_dilated[" in line]
    assert len(products) > 20
    assert all((":bf16[" if dtype == jnp.bfloat16 else ":f64[") in line for line in products)
    assert jaxpr.out_avals[0].dtype == jnp.promote_types(jnp.float32, dtype)


def test_parameters_are_initialised_with_the_published_distributions():
    model = SimpleBaseline(17, (1, 1, 1, 2), width=16, head_width=64)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    for name in ("deconv1", "deconv3", "head"):
        assert float(params[name]["kernel"].std()) == pytest.approx(0.001, rel=0.07)
    assert not params["head"]["bias"].any()
    kernel = params["layer4"]["blocks"]["conv2"]["kernel"]  # fan-out 9 · 128
    assert float(kernel.std()) == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert (params["layer4"]["blocks"]["bn3"]["scale"] == 1).all()


@pytest.mark.parametrize(("backend", "train", "expected"), [("cpu", True, 1), ("cpu", False, 0), ("gpu", True, 0)])
def test_only_gradients_on_cpu_run_without_a_loop(monkeypatch, backend, train, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    model = SimpleBaseline(keypoints=3, **SIZES)
    shapes = variable_shapes(model)
    jaxpr = jax.make_jaxpr(lambda v: model.apply(v, jnp.zeros((1, 32, 32, 3)), train, mutable=["batch_stats"]))(shapes)
    assert str(jaxpr).count("unroll=2\n") == expected  # in the layer of three bottlenecks
